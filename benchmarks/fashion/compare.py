"""Distils one Fashion-MNIST teacher with several divergences and seeds: python -m benchmarks.fashion.compare

Before it: benchmarks.fashion.pack, then `qcgen train` of jobs/fashion/teacher.yaml and jobs/fashion/clip.yaml. Each
run leaves its row beside its log; started again, the comparison goes on with the runs that are missing, and two of them
with other `--seeds` share the work.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from benchmarks.fashion.spread import noise_share, variances
from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.core.errors import PausedError
from qcgen.core.events import EVENTS_FILE, read_events, rows_of
from qcgen.core.spec import load_yaml
from qcgen.data.imageset import ImageSet
from qcgen.distill.blend import read_blend
from qcgen.distill.material import Material
from qcgen.distill.pairs import solve
from qcgen.distill.trainer import Generate, Hooks, Trainer
from qcgen.generate.batch import quantise
from qcgen.generate.noise import stack_noise
from qcgen.models.card import digest
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.embedded import load_encoder
from qcgen.models.network import Network
from qcgen.pipeline.distill import Ground, fingerprint_of, load_teacher, make_trainer, prepare, with_pairs
from qcgen.pipeline.evaluate import Estimate, estimate
from qcgen.pipeline.material import read_material
from qcgen.qc.registry import make_metrics

JOB, CLIP = Path("jobs/fashion/student.yaml"), Path("out/fashion/clip")
DIVERGENCES: dict[str, dict[str, object]] = {
    "reverse_kl": {},
    "jensen_shannon": {},
    "forward_kl": {},
    "squared_hellinger": {},
    "alpha": {"alpha": 0.5},
}
SEEDS = (0, 1, 2)
CALLS = 35
METRICS = ("frechet", "kid", "manifold")
SHOWN = ("frechet", "kid", "precision", "recall", "coverage")
N, EVAL_SEED = 5000, 7


class Measure:
    """Set metrics of `N` pictures against the test split, with the same classes and noise for every model."""

    def __init__(self, data: ImageSet, material: Material) -> None:
        self.encoder = load_encoder(str(CLIP))
        real = torch.from_numpy(data.rows(held_out=True))
        self.real = {"embeddings": self._embed(data.images[real])}
        generator = torch.Generator().manual_seed(EVAL_SEED)
        self.caption = material.draw_captions(N, generator)
        self.noise = stack_noise(list(range(N)), material.shape)
        self.cond = material.cond

    def __call__(self, generate: Generate, ground: Ground) -> dict[str, Estimate]:
        codec = ground.parts.load_codec("cpu")
        with torch.no_grad():
            made = [
                self._embed(quantise(codec.decode(generate(self.noise[part], self.cond[self.caption[part]])))[0])
                for part in torch.arange(N).split(250)
            ]
        known = make_metrics()
        columns = {"embeddings": torch.cat(made)}
        own = torch.ones(len(self.real["embeddings"]), dtype=torch.bool)
        found, _ = estimate({name: known[name] for name in METRICS}, self.real, own, columns, seed=EVAL_SEED)
        return {name: found[name] for name in SHOWN}

    def _embed(self, images: Tensor) -> Tensor:
        return torch.cat([self.encoder.encode_images(part).float() for part in images.split(250)])


class Comparison:
    """What all runs share, and the result file."""

    def __init__(self, results: Path) -> None:
        self.path = results / "fashion.json"
        self.base = load_yaml(JOB, DistillSpec)
        torch.set_num_threads(self.base.threads)
        self.ground = prepare(self.base, say=_say)
        self.teacher: Network = load_teacher(self.base, self.ground, device="cpu")
        material = read_material(self.base, self.ground.parts, self.ground.data, device="cpu", check=_go_on)
        _say("pairs by the teacher's solver")
        self.material = with_pairs(self.base, self.ground, material, self.teacher, device="cpu", check=_go_on)
        self.measure = Measure(self.ground.data, self.material)
        self.setting = self._setting()
        self.teacher_row = self._kept("teacher") or self._keep("teacher", self._measure_teacher())

    def _setting(self) -> dict[str, object]:
        job = self.base.model_dump(mode="json", exclude={"out", "name", "divergence", "seed"})
        weights = {"teacher": digest(self.base.teacher), "encoder": digest(CLIP)}
        setting = {"job": job, **weights, "n": N, "eval_seed": EVAL_SEED, "teacher_calls": CALLS}
        return cast(dict[str, object], json.loads(json.dumps(setting)))

    def _measure_teacher(self) -> dict[str, object]:
        _say(f"the teacher at {CALLS} calls")

        def generate(noise: Tensor, cond: Tensor) -> Tensor:
            return solve(self.teacher, noise, cond, cond[:1], steps=(CALLS + 1) // 2, guidance_scale=1.0)

        return _plain(self.measure(generate, self.ground))

    def _kept(self, name: str) -> dict[str, object] | None:
        """What an earlier start measured with the same setting."""
        path = self.base.out / f"{name}.json"
        told = json.loads(path.read_text()) if path.is_file() else {}
        return cast(dict[str, object], told["found"]) if told.get("setting") == self.setting else None

    def _keep(self, name: str, found: dict[str, object]) -> dict[str, object]:
        (self.base.out / f"{name}.json").write_text(json.dumps({"setting": self.setting, "found": found}) + "\n")
        return found

    def run(self, name: str, seed: int) -> None:
        """One distillation, measured where the adversarial term begins and at its end; nothing if it is there, or if
        another divergence's is the very same."""
        if twin_of(name) is not None or self._kept(f"{name}-{seed}") is not None:
            return
        shutil.rmtree(self.base.out / f"{name}-{seed}", ignore_errors=True)
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        spec = self._spec(name, seed)
        middle = round(spec.gan.start * spec.optim.steps)
        trainer = self._trainer(spec, self._start(seed), stop=middle)
        without_gan = _plain(self.measure(_student_of(trainer), self.ground))
        trainer = self._trainer(spec, None)
        row = {
            "divergence": name,
            "seed": seed,
            **_plain(self.measure(_student_of(trainer), self.ground)),
            "without_gan": without_gan,
            **_weights(spec.out),
            "noise_share": noise_share(trainer, batches=12),
            "ended_by": trainer.reason,
            "wall_s": round(time.monotonic() - began_s),
            "cpu_s": round(time.process_time() - began_cpu_s),
        }
        if name == "reverse_kl":
            blends = {key: read_blend(_divergence(key)) for key in DIVERGENCES}
            self._keep(f"common-{seed}", cast(dict[str, object], variances(trainer, blends, batches=24)))
        print(json.dumps(self._keep(f"{name}-{seed}", row)), file=sys.stderr, flush=True)
        for spent in (self.base.out / f"{name}-{seed}").glob("*.safetensors"):
            spent.unlink()

    def write(self) -> None:
        """The result file, of all runs that are there."""
        rows = [row for name in DIVERGENCES for seed in SEEDS if (row := self._row(name, seed)) is not None]
        common = {str(seed): self._kept(f"common-{seed}") for seed in SEEDS}
        machine = {"threads": self.base.threads, "load": round(os.getloadavg()[0], 1), "torch": torch.__version__}
        told = {
            "setting": self.setting,
            "machine": {**machine, "python": platform.python_version()},
            "teacher": self.teacher_row,
            "means": summarise(rows),
            "at_a_common_state": common,
            "runs": rows,
        }
        self.path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def _row(self, name: str, seed: int) -> Mapping[str, object] | None:
        twin = twin_of(name)
        row = self._kept(f"{twin or name}-{seed}")
        return row if row is None or twin is None else {**row, "divergence": name, "same_weights_as": twin}

    def _spec(self, name: str, seed: int) -> DistillSpec:
        out = self.base.out / f"{name}-{seed}"
        return self.base.model_copy(update={"divergence": _divergence(name), "seed": seed, "out": out})

    def _start(self, seed: int) -> Mapping[str, object]:
        """After regression and warm-up, which know of no divergence: made once for a seed."""
        # Named by what it depends on: another teacher's start is no start.
        made_from = hashlib.sha256(json.dumps(self.setting, sort_keys=True).encode()).hexdigest()
        path = self.base.out / f"start-{seed}-{made_from[:12]}.safetensors"
        if not path.is_file():
            _say(f"regression and warm-up of seed {seed}")
            spec = self._spec("reverse_kl", seed).model_copy(update={"out": path.with_suffix("")})
            save_state(path, self._trainer(spec, None, stop=0).state_dict())
        return cast(Mapping[str, object], load_state(path))

    def _trainer(self, spec: DistillSpec, start: Mapping[str, object] | None, *, stop: int | None = None) -> Trainer:
        """A training that ran to its end, or to a step of the matching."""

        def check() -> None:
            if stop is not None and trainer.stage == "matching" and trainer.step >= stop:
                raise PausedError("reached")

        spec.out.mkdir(parents=True, exist_ok=True)
        hooks = Hooks(tell=lambda _: None, check=check)
        marks = fingerprint_of(spec, self.ground)
        trainer = make_trainer(
            spec, self.ground, self.material, self.teacher, fingerprint=marks, hooks=hooks, device="cpu"
        )
        if start is not None and not trainer.checkpoints.exists():
            trainer.take_over(start)
        with contextlib.suppress(PausedError):
            trainer.run()
        return trainer


def summarise(rows: Sequence[Mapping[str, object]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """For each divergence the mean over the seeds and its standard error."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for name in dict.fromkeys(str(row["divergence"]) for row in rows):
        own = [row for row in rows if row["divergence"] == name]
        columns = {key: [_number(row[key]) for row in own] for key in (*SHOWN, "ess", "noise_share")}
        early = [cast(Mapping[str, object], row["without_gan"]) for row in own]
        columns |= {f"{key}_without_gan": [_number(row[key]) for row in early] for key in SHOWN}
        found[name] = {key: _mean(values) for key, values in columns.items()}
    return found


def twin_of(name: str) -> str | None:
    """An earlier divergence with the same h (alpha .5 is squared Hellinger): their trainings are the same bits."""
    log_ratio = torch.linspace(-5, 5, 201, dtype=torch.float64)
    weights = {
        key: read_blend(_divergence(key)).weight(log_ratio, progress=0.0, log_snr=torch.zeros_like(log_ratio))
        for key in DIVERGENCES
    }
    earlier = list(DIVERGENCES)[: list(DIVERGENCES).index(name)]
    return next((key for key in earlier if torch.allclose(weights[key], weights[name], rtol=1e-9)), None)


def _mean(values: Sequence[float]) -> dict[str, float | None]:
    error = round(statistics.stdev(values) / len(values) ** 0.5, 5) if len(values) > 1 else None
    return {"mean": round(statistics.mean(values), 5), "error": error, "n": len(values)}


def _number(value: object) -> float:
    return float(value[0]) if isinstance(value, list) else float(str(value))


def _divergence(name: str) -> DivergenceSpec:
    return DivergenceSpec.model_validate({"name": name, **DIVERGENCES[name]})


def _student_of(trainer: Trainer) -> Generate:
    networks = trainer.networks
    return lambda noise, cond: networks.generate(networks.averaged_student, noise, cond)


def _plain(found: Mapping[str, Estimate]) -> dict[str, object]:
    return {name: [round(one.value, 5), round(one.error, 5)] for name, one in found.items()}


def _weights(out: Path) -> dict[str, object]:
    """Effective share of a batch and largest weight, over the second half of the training."""
    steps = rows_of(read_events(out / EVENTS_FILE), "step")
    late = steps[len(steps) // 2 :]
    return {key: round(statistics.mean(float(row[key]) for row in late), 4) for key in ("ess", "weight_high")}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _go_on() -> None:
    """Nothing asks to stop."""


def main(results: Path, *, seeds: Sequence[int] = SEEDS, names: Sequence[str] = tuple(DIVERGENCES)) -> None:
    """Run what is missing, seed by seed."""
    comparison = Comparison(results)
    for seed in seeds:
        for name in names:
            comparison.run(name, seed)
            comparison.write()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--divergences", nargs="+", choices=DIVERGENCES, default=tuple(DIVERGENCES))
    given = parser.parse_args()
    main(Path("benchmarks/results"), seeds=given.seeds, names=given.divergences)
