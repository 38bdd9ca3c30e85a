"""Scores of pictures by many detectors, as production makes them, and what they cost."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from qcgen.core.reasoncodes import code_of_corruption, code_of_finding
from qcgen.core.types import Measure, Score
from qcgen.models.protocol import ImageTextEncoder
from qcgen.pipeline.qcdomains import Picture
from qcgen.qc.corruptions.seam import TILE_PX
from qcgen.qc.inspect import Inspector
from qcgen.qc.policy import Policy, build_policy
from qcgen.qc.profile import DetectorRule, Profile
from qcgen.qc.protocol import Batch, Detector
from qcgen.qc.registry import find_detectors
from qcgen.qc.separation import Values, conformal_limit
from qcgen.qc.settings import Settings

_BATCH = 32
_TIMED = 16

Measures = tuple[Measure, ...]


def profile_of(names: Sequence[str], alpha: float) -> Profile:
    """All these detectors, equally important, without floors or ceilings: what calibration alone gives."""
    rules = {name: DetectorRule(importance=1.0) for name in names}
    return Profile(
        version=1,
        name="bench",
        alpha=alpha,
        near_duplicate_bits=0,
        calibration=None,
        detectors=rules,
        tile_px=TILE_PX,
    )


def policy_of(names: Sequence[str], alpha: float) -> Policy:
    """A policy that only names the detectors."""
    return build_policy(profile_of(names, alpha), None, sha256="")


def is_slow(name: str) -> bool:
    """Whether a detector takes so long that it sees some of the clean pictures, and its own corruptions alone."""
    return bool(getattr(find_detectors()[name], "slow", False))


def sees(name: str, corruption: str) -> bool:
    """Whether a detector is shown a corruption: a slow one only where people would give both the same reason."""
    return not is_slow(name) or code_of_finding(name) == code_of_corruption(corruption)


class Scorer:
    """Measures pictures of any sizes with the detectors named; encoder and `asking` are used where something was asked
    for."""

    def __init__(
        self,
        names: Sequence[str],
        encoder: ImageTextEncoder | None,
        vocabulary: Mapping[str, Sequence[str]],
        asking: Settings | None = None,
    ) -> None:
        asked, settings = (encoder, asking or Settings()) if vocabulary else (None, Settings())

        def inspector(names: Sequence[str]) -> Inspector:
            # The limits do not matter here, and neither does the alpha.
            return Inspector(replace(policy_of(names, 0.02), settings=settings), asked, vocabulary)

        quick = [name for name in names if not is_slow(name)]
        self._all = inspector(names)
        self._quick = inspector(quick) if quick else None

    def measure(self, pictures: Sequence[Picture], *, slowly: int) -> list[Measures]:
        """One tuple of measures a picture, in the order given; the slow detectors see the first `slowly` of them."""
        first, rest = pictures[:slowly], pictures[slowly:]
        return self._measure(self._all, first) + self._measure(self._quick, rest)

    def _measure(self, inspector: Inspector | None, pictures: Sequence[Picture]) -> list[Measures]:
        if inspector is None:
            return [()] * len(pictures)
        found: dict[int, Measures] = {}
        by_size: dict[tuple[int, ...], list[int]] = {}
        for place, picture in enumerate(pictures):
            by_size.setdefault(tuple(picture.image.shape), []).append(place)
        for places in by_size.values():
            for start in range(0, len(places), _BATCH):
                part = places[start : start + _BATCH]
                chosen = [pictures[place] for place in part]
                images = torch.stack([one.image for one in chosen])
                measured = inspector.measure(images, [one.prompt for one in chosen], [one.fields for one in chosen])
                found.update(zip(part, measured, strict=True))
        return [found[place] for place in range(len(pictures))]


def badness(measures: Sequence[Measures], name: str) -> Values:
    """One detector's scores with higher meaning worse; -inf without a value: such a picture can never be flagged.
    Pictures that it was not shown are left out."""
    sign = -1.0 if find_detectors()[name].higher_is_better else 1.0
    values = [one for row in measures for one in row if one.detector == name]
    return np.array([sign * one.value if isinstance(one, Score) else -np.inf for one in values])


def limit_of(name: str, clean: Sequence[Measures], alpha: float) -> float | None:
    """A detector's limit, higher is worse: its own if it has one, else what clean pictures exceed with probability
    alpha; None where they are too few."""
    detector = find_detectors()[name]
    own = getattr(detector, "own_limit", None)
    if own is None:
        return conformal_limit(badness(clean, name), alpha)
    return -float(own) if detector.higher_is_better else float(own)


def pixel_detectors(names: Sequence[str], picture: Picture) -> list[str]:
    """Those that give a value without an encoder and without fields, a network of their own apart."""
    batch = Batch(picture.image[None], [""], [{}])
    with torch.inference_mode():
        reasons = {name: find_detectors()[name].score(batch).reasons[0] for name in names}
    asking = ("no_encoder", "not_applicable", "no_vocabulary")
    learned = {name for name in names if getattr(find_detectors()[name], "learned", False)}
    return [name for name, reason in reasons.items() if reason not in asking and name not in learned]


def costs(names: Sequence[str], pictures: Sequence[Picture]) -> tuple[float, dict[str, float]]:
    """Milliseconds per picture: all detectors on one batch as production runs them, over the cores, and each on a batch
    of its own. The best of three and the better of two."""
    size = pictures[0].image.shape
    alike = [one.image for one in pictures if one.image.shape == size][:_TIMED]
    images = torch.stack(alike)
    detectors = [find_detectors()[name] for name in names]
    together = min(_together(names, images) for _ in range(3))
    return together, {one.name: min(_milliseconds([one], images) for _ in range(2)) for one in detectors}


def _together(names: Sequence[str], images: torch.Tensor) -> float:
    inspector = Inspector(policy_of(names, 0.02), None)
    began = time.perf_counter()
    inspector.measure(images, [""] * len(images), [{}] * len(images))
    return 1000 * (time.perf_counter() - began) / len(images)


def _milliseconds(detectors: Sequence[Detector], images: torch.Tensor) -> float:
    batch = Batch(images, [""] * len(images), [{}] * len(images))
    began = time.perf_counter()
    with torch.inference_mode():
        for detector in detectors:
            detector.score(batch)
    return 1000 * (time.perf_counter() - began) / len(images)
