"""A profile and its calibration, checked against the detectors of this installation and frozen."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.qc.conformal import flag_limit
from qcgen.qc.profile import Calibration, Profile, Reference, find_profile, read_calibration, read_profile
from qcgen.qc.protocol import Detector
from qcgen.qc.registry import find_detectors


@dataclass(frozen=True, slots=True)
class Rule:
    """One detector's part in the verdict. All but `reference` is in the detector's own unit and direction.

    Attributes:
        reference: badness (higher is worse) of good pictures, sorted upwards; None: shown, never flagging.
        limit: beyond it the joint test flags because of this detector; None where it cannot.
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

    def badness(self, value: float) -> float:
        return -value if self.higher_is_better else value

    def beyond(self, value: float, limit: float) -> bool:
        """Strictly worse than the limit."""
        return self.badness(value) > self.badness(limit)


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
    background: tuple[int, int, int] = (255, 255, 255)

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
    return Policy(
        name=profile.name,
        alpha=profile.alpha,
        near_duplicate_bits=profile.near_duplicate_bits,
        rules=tuple(_rule(profile, known[name], references.get(name), joint) for name in profile.detectors),
        joint=joint,
        sha256=sha256,
        encoder_digest=calibration.encoder_digest if calibration else None,
        model_digest=calibration.model_digest if calibration else None,
        background=profile.background,
    )


def _rule(profile: Profile, detector: Detector, reference: Reference | None, joint: tuple[float, ...]) -> Rule:
    wanted = profile.detectors[detector.name]
    sign = -1 if detector.higher_is_better else 1
    badness = None
    limit = None
    if reference is not None and wanted.importance > 0:
        badness = tuple(sorted(sign * score for score in reference.scores))
        limit = flag_limit(badness, joint, importance=wanted.importance, alpha=profile.alpha)
    return Rule(
        detector=detector.name,
        version=detector.version,
        unit=detector.unit,
        higher_is_better=detector.higher_is_better,
        importance=wanted.importance,
        floor=wanted.floor,
        ceiling=wanted.ceiling,
        required=wanted.required,
        reference=badness,
        limit=None if limit is None else sign * limit,
    )


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
    if problems:
        cure = "Cure: qcgen calibrate RUN --profile " + profile.name
        raise PrerequisiteError(f"profile {profile.name}: its calibration is stale. {'; '.join(problems)}. {cure}")


def _digest(*paths: Path | None) -> str:
    parts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path is not None]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
