"""Distils the ring of eight modes with five divergences over three seeds: python -m benchmarks.ring

The result file is written after every run. About a minute of one core for each of the fifteen runs.
"""

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from qcgen.core.distillspec import DivergenceSpec
from qcgen.distill.blend import read_blend
from qcgen.distill.ring import RingSetting, RingTrainer

DIVERGENCES = ("softened_reverse_kl", "reverse_kl", "jensen_shannon", "squared_hellinger", "forward_kl")
SEEDS = (0, 1, 2)


def measure(name: str, seed: int, setting: RingSetting) -> dict[str, object]:
    """One distillation: the final report, the course of the mode error, and the processor seconds it took."""
    began = time.process_time()
    points = tuple(range(setting.steps // 5, setting.steps, setting.steps // 5))
    trainer = RingTrainer(read_blend(DivergenceSpec(name=name)), setting, seed=seed)
    reports = trainer.train(report_at=points)
    return {
        "divergence": name,
        "seed": seed,
        **{key: round(value, 4) for key, value in asdict(reports[-1]).items()},
        "course": [
            [at, round(report.mode_error, 4)] for at, report in zip((*points, setting.steps), reports, strict=True)
        ],
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def summarise(rows: list[dict[str, object]]) -> dict[str, object]:
    """Means over the seeds, the order of the mode errors in each seed, and whether it is the expected one."""
    error = {(str(row["divergence"]), row["seed"]): float(str(row["mode_error"])) for row in rows}
    seeds = sorted({row["seed"] for row in rows}, key=str)
    names = [name for name in DIVERGENCES if all((name, seed) in error for seed in seeds)]
    means = {
        name: {
            key: round(statistics.mean(float(str(row[key])) for row in rows if row["divergence"] == name), 4)
            for key in ("mode_error", "junk", "lightest", "modes", "mean_ratio", "mean_inverse_ratio", "critic_loss")
        }
        for name in names
    }
    orders = {str(seed): sorted(names, key=lambda name: -error[name, seed]) for seed in seeds}
    holds = {seed: order[:2] == ["softened_reverse_kl", "reverse_kl"] for seed, order in orders.items()}
    return {"means": means, "order_by_seed": orders, "softened_then_reverse_then_rest": holds}


def main(results: Path, setting: RingSetting | None = None) -> None:
    """Run all, writing `ring.json` as it grows, and print the table."""
    setting = setting or RingSetting()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for seed in SEEDS:
        for name in DIVERGENCES:
            rows.append(measure(name, seed, setting))
            machine = {"threads": 1, "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}
            machine["torch"] = torch.__version__
            told = {"setting": asdict(setting), "samples": 20_000, "machine": machine, "runs": rows, **summarise(rows)}
            (results / "ring.json").write_text(json.dumps(told, indent=1) + "\n")
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    _print(rows)


def _print(rows: list[dict[str, object]]) -> None:
    summary = summarise(rows)
    print(f"{'divergence':22}{'mode error':>11}{'junk':>7}{'modes':>7}   per seed")
    for name, mean in summary["means"].items():  # type: ignore[attr-defined]
        each = " ".join(f"{row['mode_error']:.3f}" for row in rows if row["divergence"] == name)
        print(f"{name:22}{mean['mode_error']:11.3f}{mean['junk']:7.3f}{mean['modes']:7.1f}   {each}")
    for seed, order in summary["order_by_seed"].items():  # type: ignore[attr-defined]
        print(f"seed {seed}: {' > '.join(order)}")


if __name__ == "__main__":
    main(Path(__file__).parent / "results")
