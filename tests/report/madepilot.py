"""A made-up result of a pilot: nine settings on two rungs, one of them lost."""

import itertools
import random

from qcgen.core.pilotresult import Cut, KeyEffect, PilotNumber, PilotResult, TrialResult, Visit

KEYS = ("divergence", "lr_ratio")
_BETTER = {"kid": 40.0, "recall": 0.6, "clip_score": 27.0, "saturation": 0.31, "precision": 0.7}


def make_result(*, divergence: str = "jensen_shannon", lost: str = "3 steps running were not finite") -> PilotResult:
    """Three trials at the last rung, the second of them not told apart from the first."""
    chance = random.Random(0)
    names = [f"t{place}" for place in range(1, 10)]
    settings = list(itertools.product((divergence, "reverse_kl", "alpha(alpha=0.25)"), ("1.5", "3", "6")))
    trials = []
    for place, (name, values) in enumerate(zip(names, settings, strict=True), start=1):
        setting = dict(zip(KEYS, values, strict=True))
        if place == 9:
            trials.append(TrialResult(name, None, setting, (), 0, lost))
            continue
        visits = [_visit(44, place, chance)] + ([_visit(132, place, chance)] if place <= 3 else [])
        final = {"behind": 0.6 * (place - 1), "behind_error": 0.4 if place > 1 else 0.0} if place <= 3 else {}
        trials.append(
            TrialResult(
                name, place, setting, tuple(visits), int(place == 4), None, **final, tied=place <= 2,
                pictures=1200 if place == 2 else None,
            )
        )  # fmt: skip
    return PilotResult(
        version=1,
        name="apparel",
        purpose="balance",
        base="jobs/distill/apparel.yaml",
        base_steps=2640,
        budget=0.05,
        n=600,
        seed=0,
        clip="embedded:clip-apparel",
        settings=40,
        weights={"kid": 1 / 3, "recall": 1 / 3, "clip_score": 1 / 3},
        trials=tuple(trials),
        cuts=(Cut(44, tuple(names), ("t1", "t2", "t3"), 0.12), Cut(132, ("t1", "t2", "t3"), ("t1",), 0.28)),
        effects=tuple(
            KeyEffect(key, value, 3, chance.gauss(0, 1), 0.2)
            for key, place in (("divergence", 0), ("lr_ratio", 1))
            for value in dict.fromkeys(one[place] for one in settings)
        ),
        recommended="t1",
        chance=0.72,
    )


def _visit(steps: int, place: int, chance: random.Random) -> Visit:
    measures = {
        name: PilotNumber(
            value * (1 + 0.03 * place * (1 if name == "kid" else -1)) + 0.005 * value * chance.gauss(0, 1),
            0.02 * value,
            "share" if name in {"recall", "precision"} else "x",
            "higher",
            0.33 if name == "saturation" else None,
        )
        for name, value in _BETTER.items()
    }
    broken = ("saturation",) if place == 3 else ()
    return Visit(steps, measures, 1.2 - 0.4 * place, 0.25, {1: 0.72, 2: 0.27}.get(place, 0.01), broken)
