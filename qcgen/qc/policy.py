"""A profile and its calibration, checked against the detectors of this installation and frozen."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.qc.conformal import flag_limit
from qcgen.qc.groups import WHOLE, Key, key_of, label, levels
from qcgen.qc.profile import (
    Calibration,
    GroupReference,
    Profile,
    Reference,
    find_profile,
    read_calibration,
    read_profile,
)
from qcgen.qc.protocol import Detector
from qcgen.qc.registry import find_detectors


@dataclass(frozen=True, slots=True)
class Rule:
    """One detector's part in the verdict. All but `reference` is in the detector's own unit and direction.

    Attributes:
        reference: badness (higher is worse) of good pictures, sorted upwards; None: shown, never flagging.
        limit: beyond it the joint test flags because of this detector; None where it cannot.
        other_floor, other_limit: those of the good side, for a rule that flags both tails.
    """

    detector: str
    version: int
    unit: str
    higher_is_better: bool
    importance: float
    floor: float | None
    ceiling: float | None
    required: bool
    reference: tuple[float, ...] | None = None
    limit: float | None = None
    two_sided: bool = False
    other_floor: float | None = None
    other_limit: float | None = None

    def badness(self, value: float) -> float:
        return -value if self.higher_is_better else value

    def beyond(self, value: float, limit: float) -> bool:
        """Strictly worse than the limit."""
        return self.badness(value) > self.badness(limit)


@dataclass(frozen=True, slots=True)
class Level:
    """Rules and joint statistics of one group of pictures, or of all."""

    name: str
    rules: tuple[Rule, ...]
    joint: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything `judge` needs. `sha256` covers the bytes of profile and calibration."""

    name: str
    alpha: float
    near_duplicate_bits: int
    rules: tuple[Rule, ...]
    joint: tuple[float, ...]
    sha256: str
    encoder_digest: str | None = None
    model_digest: str | None = None
    group_by: tuple[str, ...] = ()
    groups: Mapping[Key, Level] = field(default_factory=dict)

    def level(self, fields: Mapping[str, str]) -> Level:
        """What judges a picture of these fields: its finest calibrated group, else the whole reference."""
        keys = levels(key_of(fields, self.group_by))
        own = next((self.groups[key] for key in keys if key in self.groups), None)
        return own or Level(WHOLE, self.rules, self.joint)

    def names(self) -> tuple[str, ...]:
        return tuple(rule.detector for rule in self.rules)


def load_policy(profile: str) -> Policy:
    """The policy of a built-in profile's name or of a profile file's path.

    Raises:
        SpecError: unknown profile or detector, malformed file; lists every mistake.
        PrerequisiteError: the calibration is missing, or was made by other detector versions, importances or alpha.
    """
    path = find_profile(profile)
    wanted = read_profile(path)
    calibration_path = path.parent / wanted.calibration if wanted.calibration else None
    calibration = read_calibration(calibration_path) if calibration_path else None
    return build_policy(wanted, calibration, sha256=_digest(path, calibration_path))


def build_policy(profile: Profile, calibration: Calibration | None, *, sha256: str) -> Policy:
    """Join a profile with its calibration; the errors of `load_policy`."""
    known = find_detectors()
    unknown = [name for name in profile.detectors if name not in known]
    if unknown:
        raise SpecError([f"detectors.{name}: no such detector. Cure: {', '.join(sorted(known))}." for name in unknown])
    if calibration is not None:
        _refuse_stale(profile, calibration, known)
    joint = calibration.joint if calibration else ()
    references = calibration.detectors if calibration else {}
    rules = tuple(_rule(profile, known[name], references.get(name), joint) for name in profile.detectors)
    return Policy(
        name=profile.name,
        alpha=profile.alpha,
        near_duplicate_bits=profile.near_duplicate_bits,
        rules=rules,
        joint=joint,
        sha256=sha256,
        encoder_digest=calibration.encoder_digest if calibration else None,
        model_digest=calibration.model_digest if calibration else None,
        group_by=calibration.group_by if calibration else (),
        groups={} if calibration is None else _levels(calibration, rules, profile.alpha),
    )


def _levels(calibration: Calibration, rules: Sequence[Rule], alpha: float) -> dict[Key, Level]:
    def own(rule: Rule, group: GroupReference) -> Rule:
        scores = group.scores.get(rule.detector) if rule.reference is not None else None
        badness = rule.reference if scores is None else tuple(sorted(map(rule.badness, scores)))
        return with_limits(replace(rule, reference=badness), group.joint, alpha)

    return {
        group.values: Level(
            label(calibration.group_by, group.values), tuple(own(rule, group) for rule in rules), group.joint
        )
        for group in calibration.groups
    }


def with_limits(rule: Rule, joint: Sequence[float], alpha: float) -> Rule:
    """The rule with the limits that its reference and the joint statistics give at alpha."""
    if rule.reference is None:
        return rule
    importance = rule.importance / (1 + rule.two_sided)
    limit = flag_limit(rule.reference, joint, importance=importance, alpha=alpha)
    mirrored = [-badness for badness in reversed(rule.reference)]
    other = flag_limit(mirrored, joint, importance=importance, alpha=alpha) if rule.two_sided else None
    return replace(
        rule,
        limit=None if limit is None else rule.badness(limit),
        other_limit=None if other is None else rule.badness(-other),
    )


def _rule(profile: Profile, detector: Detector, reference: Reference | None, joint: tuple[float, ...]) -> Rule:
    wanted = profile.detectors[detector.name]
    sign = -1 if detector.higher_is_better else 1
    badness = None
    if reference is not None and wanted.importance > 0:
        badness = tuple(sorted(sign * score for score in reference.scores))
    rule = Rule(
        detector=detector.name,
        version=detector.version,
        unit=detector.unit,
        higher_is_better=detector.higher_is_better,
        importance=wanted.importance,
        floor=wanted.floor,
        ceiling=wanted.ceiling,
        required=wanted.required,
        reference=badness,
        two_sided=wanted.two_sided,
        other_floor=wanted.other_floor,
    )
    return with_limits(rule, joint, profile.alpha)


def _refuse_stale(profile: Profile, calibration: Calibration, known: Mapping[str, Detector]) -> None:
    problems = []
    if calibration.alpha != profile.alpha:
        problems.append(f"alpha: the profile says {profile.alpha}, the calibration was made for {calibration.alpha}")
    for name, reference in calibration.detectors.items():
        if name in known and reference.version != known[name].version:
            problems.append(f"{name}: version {known[name].version} here, calibrated with version {reference.version}")
        wanted = profile.detectors.get(name)
        if wanted and wanted.importance not in (0, reference.importance):
            problems.append(f"{name}: importance {wanted.importance}, calibrated with {reference.importance}")
        if wanted and wanted.importance and wanted.two_sided != reference.two_sided:
            problems.append(f"{name}: two_sided {wanted.two_sided}, calibrated with {reference.two_sided}")
    if problems:
        cure = "Cure: qcgen calibrate RUN --profile " + profile.name
        raise PrerequisiteError(f"profile {profile.name}: its calibration is stale. {'; '.join(problems)}. {cure}")


def _digest(*paths: Path | None) -> str:
    parts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path is not None]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
