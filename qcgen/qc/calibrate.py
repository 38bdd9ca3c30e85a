"""From the scores of accepted pictures to a calibration."""

import datetime
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from qcgen.core.errors import SpecError
from qcgen.core.types import Measure, Score
from qcgen.qc.conformal import combine, false_flag_bound, fewest, flag_limit, p_value
from qcgen.qc.profile import Calibration, Profile, Reference
from qcgen.qc.registry import find_detectors

_LIBRARIES = ("torch", "numpy", "open-clip-torch")


def calibrate(
    measures: Sequence[Sequence[Measure]],
    profile: Profile,
    *,
    source: str,
    seed: int = 0,
    encoder_digest: str | None = None,
    model_digest: str | None = None,
) -> Calibration:
    """Reference scores from one half of the pictures, the joint min-p statistics from the other.

    Args:
        measures: what the profile's detectors said of pictures that people accepted, one tuple a picture.
        source: what the pictures are, for the reader of the file.
        seed: of the split in halves.
        encoder_digest: the encoder behind the CLIP scores.
        model_digest: the student that made the pictures.

    Raises:
        SpecError: too few pictures for alpha, or so few that the joint test could never flag; says how many it takes.
    """
    least = 2 * fewest(profile.alpha)
    if len(measures) < least:
        raise SpecError(
            f"calibrate: alpha {profile.alpha:g} needs at least {least} accepted pictures (got {len(measures)}). "
            f"Cure: give more pictures, or raise alpha to {_smallest_alpha(len(measures)):.3g}."
        )
    order = np.random.default_rng(seed).permutation(len(measures))
    half = len(order) // 2
    first, second = ([_values(measures[i], profile) for i in part] for part in (order[:half], order[half:]))
    scores = {name: sorted(row[name] for row in first if name in row) for name in _gating(profile)}
    enough = {name: values for name, values in scores.items() if len(values) >= fewest(profile.alpha)}
    joint = _statistics(second, enough, profile)
    _refuse_powerless(enough, joint, profile, len(measures))
    return Calibration(
        version=1,
        profile=profile.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        source=source,
        n=len(measures),
        alpha=profile.alpha,
        split_seed=seed,
        encoder_digest=encoder_digest,
        model_digest=model_digest,
        libraries={"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        uncalibrated={name: len(values) for name, values in scores.items() if name not in enough},
        detectors={
            name: Reference(
                version=find_detectors()[name].version,
                importance=profile.detectors[name].importance,
                scores=tuple(values),
            )
            for name, values in enough.items()
        },
        joint=tuple(joint),
    )


def describe(calibration: Calibration) -> str:
    """What a person should know of a calibration, one line a fact."""
    n = len(calibration.joint)
    lines = [
        f"{calibration.n} pictures: {calibration.source}",
        f"false flags: at most {calibration.alpha:.2%} on average over calibrations; "
        f"for this one below {false_flag_bound(n, calibration.alpha):.2%} (Clopper-Pearson, 95 %, n {n})",
    ]
    lines += [f"{name}: {len(reference.scores)} scores" for name, reference in calibration.detectors.items()]
    lines += [f"{name}: not calibrated, {count} scores" for name, count in calibration.uncalibrated.items()]
    return "\n".join(lines)


def _gating(profile: Profile) -> list[str]:
    return [name for name, rule in profile.detectors.items() if rule.importance > 0]


def _values(measures: Sequence[Measure], profile: Profile) -> dict[str, float]:
    known = find_detectors()
    return {
        measure.detector: measure.value
        for measure in measures
        if isinstance(measure, Score)
        and measure.detector in profile.detectors
        and measure.version == known[measure.detector].version
    }


def _badness(values: Sequence[float], name: str) -> list[float]:
    sign = -1 if find_detectors()[name].higher_is_better else 1
    return sorted(sign * value for value in values)


def _statistics(
    rows: Sequence[Mapping[str, float]], scores: Mapping[str, Sequence[float]], profile: Profile
) -> list[float]:
    """Min-p of each picture of the second half against the first; 1 over the smallest importance without any score."""
    references = {name: _badness(values, name) for name, values in scores.items()}
    importance = {name: profile.detectors[name].importance for name in scores}
    none = 1 / min(importance.values(), default=1.0)
    found = []
    for row in rows:
        p_values = {
            name: p_value(_badness([row[name]], name)[0], reference)
            for name, reference in references.items()
            if name in row
        }
        statistic = combine(p_values, importance)
        found.append(none if math.isinf(statistic) else statistic)
    return sorted(found)


def _refuse_powerless(scores: Mapping[str, Sequence[float]], joint: Sequence[float], profile: Profile, n: int) -> None:
    limits = [
        flag_limit(_badness(values, name), joint, importance=profile.detectors[name].importance, alpha=profile.alpha)
        for name, values in scores.items()
    ]
    if all(limit is None for limit in limits):
        # The smallest p must be rarer than alpha over the number of detectors: about two references for each.
        wanted = 2 * math.ceil(2 * max(1, len(scores)) / profile.alpha)
        raise SpecError(
            f"calibrate: with {n} pictures and {len(scores)} detectors the joint test could never flag at alpha "
            f"{profile.alpha:g}. Cure: give about {max(wanted, n + 1)} accepted pictures."
        )


def _smallest_alpha(n: int) -> float:
    return 1 / (max(n, 2) // 2 + 1)
