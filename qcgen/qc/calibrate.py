"""From the scores of accepted pictures to a calibration."""

import datetime
import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from qcgen.core.errors import SpecError
from qcgen.core.types import Measure, Score
from qcgen.core.wording import cure_of, several, show
from qcgen.qc.conformal import combine, false_flag_bound, fewest, flag_limit, p_value
from qcgen.qc.groups import SIZE, Key, halves, key_of, label, levels
from qcgen.qc.profile import Calibration, GroupReference, Profile, Reference
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
    fields: Sequence[Mapping[str, str]] | None = None,
    group_by: Sequence[str] = (),
    asked: Mapping[str, str] | None = None,
) -> Calibration:
    """Reference scores from one half of the pictures, the joint min-p statistics from the other.

    Args:
        measures: what the profile's detectors said of pictures that people accepted, one tuple a picture.
        source: what the pictures are, for the reader of the file.
        seed: of the split in halves.
        encoder_digest: the encoder behind the CLIP scores.
        model_digest: the student that made the pictures.
        fields: of each picture, with `size_px` (`groups.with_size`).
        group_by: fields that make groups with limits of their own, coarsest first.
        asked: digests of the profile's keys that scores depend on (`asking.asked_of`).

    Raises:
        SpecError: too few pictures for alpha, or so few that the joint test could never flag; says how many it takes.
            A field to group by that no picture has.
    """
    least = 2 * fewest(profile.alpha)
    if len(measures) < least:
        raise SpecError(
            f"calibrate: alpha {profile.alpha:g} needs at least {least} accepted pictures (got {len(measures)}). "
            f"Cure: give more pictures, or raise alpha to {_smallest_alpha(len(measures)):.3g}."
        )
    keys = _keys(fields or [{}] * len(measures), group_by)
    split = halves(keys, seed)
    values = [_values(one, profile) for one in measures]
    first, second = ([values[place] for place in part] for part in split)
    scores = _scores(first, profile)
    enough = {name: found for name, found in scores.items() if len(found) >= fewest(profile.alpha)}
    joint = _statistics(second, enough, profile)
    _refuse_powerless(enough, joint, profile, len(measures))
    groups, backed_off = _groups(values, keys, split, enough, profile)
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
        uncalibrated={name: len(found) for name, found in scores.items() if name not in enough},
        detectors={
            name: Reference(
                version=find_detectors()[name].version,
                importance=profile.detectors[name].importance,
                scores=tuple(found),
                two_sided=profile.detectors[name].two_sided,
            )
            for name, found in enough.items()
        },
        joint=tuple(joint),
        size=_only_size(fields or ()),
        group_by=tuple(group_by),
        groups=tuple(groups),
        backed_off={label(group_by, key): n for key, n in backed_off.items()},
        asked=dict(asked or {}),
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
    lines += [f"{name}: not calibrated, {several(count, 'score')}" for name, count in calibration.uncalibrated.items()]
    lines += [_describe_group(calibration, group) for group in calibration.groups]
    lines += [
        f"{name}: {several(count, 'picture')}, too few; judged by what is above" for name, count in _backed(calibration)
    ]
    return "\n".join(lines)


def _describe_group(calibration: Calibration, group: GroupReference) -> str:
    behind = "own scores" if group.scores else "the scores of all pictures"
    return f"{label(calibration.group_by, group.values)}: {group.n} pictures, limits of its own from {behind}"


def _backed(calibration: Calibration) -> list[tuple[str, int]]:
    """The largest first, and no more than a reader would read."""
    return sorted(calibration.backed_off.items(), key=lambda one: -one[1])[:20]


def _only_size(fields: Sequence[Mapping[str, str]]) -> str | None:
    sizes = {one.get(SIZE) for one in fields}
    return sizes.pop() if len(sizes) == 1 else None


def _keys(fields: Sequence[Mapping[str, str]], group_by: Sequence[str]) -> list[Key]:
    known = {name for one in fields for name in one}
    beside = "" if known - {SIZE} else "; for others give --prompts with fields"
    if lacking := [name for name in group_by if name not in known]:
        raise SpecError(
            [
                f"--group: no picture has the field {show(name)}. {cure_of(name, sorted(known), beside=beside)}"
                for name in lacking
            ]
        )
    return [key_of(one, group_by) for one in fields]


def _groups(
    values: Sequence[Mapping[str, float]],
    keys: Sequence[Key],
    split: tuple[Sequence[int], Sequence[int]],
    whole: Mapping[str, Sequence[float]],
    profile: Profile,
) -> tuple[list[GroupReference], dict[Key, int]]:
    """Every level of every group that can be calibrated, and those that cannot with how many pictures they have."""
    found: list[GroupReference] = []
    backed_off: dict[Key, int] = {}
    for key in sorted({level for one in keys for level in levels(one)}):
        first, second = ([values[place] for place in half if keys[place][: len(key)] == key] for half in split)
        n = len(first) + len(second)
        made = _group(first, second, whole, profile)
        if made is None:
            backed_off[key] = n
        else:
            scores, joint = made
            tuples = {name: tuple(one) for name, one in scores.items()}
            found.append(GroupReference(values=key, n=n, scores=tuples, joint=tuple(joint)))
    return found, backed_off


def _group(
    first: Sequence[Mapping[str, float]],
    second: Sequence[Mapping[str, float]],
    whole: Mapping[str, Sequence[float]],
    profile: Profile,
) -> tuple[Mapping[str, Sequence[float]], list[float]] | None:
    """Own scores where no detector falls silent by them, else the whole reference's; the joint statistics are own."""
    if len(second) < fewest(profile.alpha):
        return None
    shared = _statistics(second, whole, profile)
    heard = _heard(whole, shared, profile)
    own = {name: one for name, one in _scores(first, profile).items() if len(one) >= fewest(profile.alpha)}
    own = {name: one for name, one in own.items() if name in whole}
    joint = _statistics(second, {**whole, **own}, profile)
    if own and (mine := _heard({**whole, **own}, joint, profile)) and heard <= mine:
        return own, joint
    return ({}, shared) if heard else None


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


def _scores(rows: Sequence[Mapping[str, float]], profile: Profile) -> dict[str, list[float]]:
    return {name: sorted(row[name] for row in rows if name in row) for name in _gating(profile)}


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
            name: p_value(_badness([row[name]], name)[0], reference, two_sided=profile.detectors[name].two_sided)
            for name, reference in references.items()
            if name in row
        }
        statistic = combine(p_values, importance)
        found.append(none if math.isinf(statistic) else statistic)
    return sorted(found)


def _refuse_powerless(scores: Mapping[str, Sequence[float]], joint: Sequence[float], profile: Profile, n: int) -> None:
    if not _heard(scores, joint, profile):
        # The smallest p must be rarer than alpha over the number of detectors: about two references for each.
        wanted = 2 * math.ceil(2 * max(1, len(scores)) / profile.alpha)
        raise SpecError(
            f"calibrate: with {n} pictures and {several(len(scores), 'detector')} the joint test could never flag "
            "at alpha "
            f"{profile.alpha:g}. Cure: give about {max(wanted, n + 1)} accepted pictures."
        )


def _heard(scores: Mapping[str, Sequence[float]], joint: Sequence[float], profile: Profile) -> set[str]:
    """The detectors that can flag at alpha."""
    rules = {name: profile.detectors[name] for name in scores}
    return {
        name
        for name, rule in rules.items()
        if flag_limit(
            _badness(scores[name], name), joint, importance=rule.importance / (1 + rule.two_sided), alpha=profile.alpha
        )
        is not None
    }


def _smallest_alpha(n: int) -> float:
    return 1 / (max(n, 2) // 2 + 1)
