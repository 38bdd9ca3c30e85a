"""A made-up event log of a distillation, as the trainer writes it: evaluations and one roll-back."""

import math
import random
from pathlib import Path

from qcgen.core.events import EventLog

_SPLIT = {"teacher": 0.2, "fake": 0.36, "discriminator": 0.1, "student": 0.26, "optimiser": 0.02}
_SPLIT |= {"data": 0.01, "monitor": 0.02, "checkpoint": 0.01}
_BINS = 10


def write_events(path: Path, *, steps: int, seed: int = 0) -> None:
    """`steps` student steps, logged every ten."""
    log, chance, marks = EventLog(path), random.Random(seed), 0

    def write(kind: str, step: int, facts: dict[str, object], spent_s: float = 0.0) -> None:
        seconds = {**{name: share * spent_s for name, share in _SPLIT.items()}, "wall": spent_s}
        place = {"stage": "matching", "step": step, "mark": marks}
        log.write(kind, {**place, **facts, "seconds": seconds}, time_s=1.0 * step)

    write("start", 0, {"steps": steps, "parameters": 1000})
    for step in range(0, steps, 10):
        marks = step
        if step == 200:
            reason = "the mean of channel 3 left the reference"
            write("rollback", step, {"reason": reason, "retry": True, "rate_scale": 0.5, "fake_updates": 4})
        write("step", step, _row(step, chance), 20.0)
        if step % 40 == 30:
            distance = 3 + 6 * math.exp(-step / 120) + chance.gauss(0, 0.1)
            facts = {
                "distance": distance,
                "error": 0.1,
                "precision": 0.7,
                "recall": 0.5 + 0.1 * chance.random(),
                "n": 512,
            }
            write("evaluation", step + 1, {**facts, "best": True})
    if steps:
        write("end", steps, {"reason": "no improvement over 5 evaluations", "exported_step": steps - 9})


def _row(step: int, chance: random.Random) -> dict[str, object]:
    settled = 1 - math.exp(-step / 80)
    table = {
        name: [round(middle + chance.gauss(0, width), 4) for _ in range(_BINS)]
        for name, middle, width in (
            ("mean_ratio", 1.3 - 0.3 * settled, 0.05),
            ("mean_inverse_ratio", 1.4 - 0.4 * settled, 0.05),
            ("clipped_share", 0.1, 0.02),
            ("accuracy", 0.6, 0.02),
            ("jensen_shannon", 0.06, 0.01),
            ("effective_share", 0.8, 0.03),
            ("trust", 0.9 * settled, 0.03),
        )
    }
    row: dict[str, object] = {
        "rate": 1e-4,
        "fake_loss": 0.3 + 0.2 * math.exp(-step / 60), "fresh_fake_loss": 0.32 + 0.2 * math.exp(-step / 60),
        "d_loss": 1.3, "d_accuracy": chance.gauss(0.6, 0.03), "dm_norm": chance.lognormvariate(-4, 0.2),
        "gan_norm": chance.lognormvariate(-6, 0.2) if step > 150 else 0.0, "grad_norm": chance.lognormvariate(-1, 0.3),
        "ess": chance.gauss(0.85, 0.02), "std_ratio": 0.7 + 0.3 * settled, "saturation": 1.2 - 0.2 * settled,
        "detail_ratio": 0.4 + 0.55 * settled, "fake_updates": 3, "fake_beta": 0.5, "ratio": table,
    }  # fmt: skip
    return row | ({"score_cosine": 0.5 * settled, "student_rate": 0.05} if step % 50 == 40 else {})
