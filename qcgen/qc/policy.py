"""A profile and its calibration, checked against the detectors of this installation and frozen."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.wording import Problems, plain
from qcgen.qc.asking import models_of, of_settings, settings_of
from qcgen.qc.conformal import flag_limit
from qcgen.qc.groups import WHOLE, Key, key_of, label, levels
from qcgen.qc.near import AGREEMENT
from qcgen.qc.profile import (
    Calibration,
    GroupReference,
    Profile,
    Reference,
    add_unknown,
    find_embeddings,
    find_profile,
    read_calibration,
    read_profile,
)
from qcgen.qc.proof import examine
from qcgen.qc.protocol import Detector
from qcgen.qc.registry import find_detectors
from qcgen.qc.settings import Settings
from qcgen.qc.stale import of_files, of_work, refusal


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
    """Everything `judge` needs.

    Attributes:
        sha256: covers the bytes of profile and calibration, and `stale`.
        size: of the calibration's pictures, as `groups.with_size` writes it; None if they had several.
        embeddings: of the calibration's pictures, where that file is there; for the gates on a whole batch.
        allow_stale: go on with a calibration that does not fit; `stale` says why it does not, on every verdict.
        warnings: what a person should be told whenever this policy gates.
    """

    name: str
    alpha: float
    near_duplicate_bits: int
    rules: tuple[Rule, ...]
    joint: tuple[float, ...]
    sha256: str
    encoder_digest: str | None = None
    model_digest: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()
    groups: Mapping[Key, Level] = field(default_factory=dict)
    size: str | None = None
    embeddings: Path | None = None
    allow_stale: bool = False
    stale: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    background: tuple[int, int, int] = (255, 255, 255)
    tile_px: int | None = None
    near_duplicate_agreement: float | None = AGREEMENT
    settings: Settings = field(default_factory=Settings)

    def fit(
        self,
        *,
        model_digest: str | None = None,
        encoder_digest: str | None = None,
        asked: Mapping[str, str | None] | None = None,
        size: str | None = None,
    ) -> "Policy":
        """This policy for pictures of a model, with an encoder, of a size; None is not looked at.

        Args:
            asked: by the profile's key, digests of the models that gave the scores, as `asking.asked_of` writes them.

        Raises:
            PrerequisiteError: it was calibrated with others, unless `allow_stale`.
        """
        calibrated = {
            "model": self.model_digest,
            "encoder": self.encoder_digest,
            "size": self.size,
            **self.asked,
        }
        given = {"model": model_digest, "encoder": encoder_digest, "size": size, **(asked or {})}
        return self.admit(of_work(calibrated, given))

    def admit(self, problems: Sequence[str]) -> "Policy":
        """This policy in spite of the problems, if that is allowed; raises PrerequisiteError if not."""
        fresh = [one for one in problems if one not in self.stale]
        if not fresh:
            return self
        if not self.allow_stale:
            raise refusal(self.name, fresh)
        marked = hashlib.sha256("\n".join([self.sha256, *fresh]).encode()).hexdigest()
        return replace(self, stale=(*self.stale, *fresh), sha256=marked)

    def level(self, fields: Mapping[str, str]) -> Level:
        """What judges a picture of these fields: its finest calibrated group, else the whole reference."""
        keys = levels(key_of(fields, self.group_by))
        own = next((self.groups[key] for key in keys if key in self.groups), None)
        return own or Level(WHOLE, self.rules, self.joint)

    def at(self, alpha: float, *, fdr: float) -> "Policy":
        """This policy at the level that a batch's queue got from `fdr`; limits follow, the digest names `fdr` alone."""
        groups = {
            key: replace(one, rules=tuple(with_limits(rule, one.joint, alpha) for rule in one.rules))
            for key, one in self.groups.items()
        }
        rules = tuple(with_limits(rule, self.joint, alpha) for rule in self.rules)
        marked = hashlib.sha256(f"{self.sha256}\nfdr {fdr}".encode()).hexdigest()
        return replace(self, alpha=alpha, rules=rules, groups=groups, sha256=marked)

    def names(self) -> tuple[str, ...]:
        return tuple(rule.detector for rule in self.rules)


def load_policy(profile: str, *, allow_stale: bool = False, with_teacher: bool = True) -> Policy:
    """The policy of a built-in profile's name or of a profile file's path.

    Args:
        with_teacher: False for stored scores: the teacher's files are not read, `fit` holds it against the run's.

    Raises:
        SpecError: unknown profile or detector, malformed file; lists every mistake.
        PrerequisiteError: the calibration is missing, or stale (`stale.of_files`) without `allow_stale`; or a detector
            gates that has no passing table (`qc.proof`).
    """
    policy = read_policy(profile, allow_stale=allow_stale, with_teacher=with_teacher)
    _refuse_shown_only(policy)
    refused, warned = examine({rule.detector: rule.version for rule in policy.rules if rule.importance > 0})
    if refused:
        raise PrerequisiteError("\n".join(f"profile {policy.name} detectors.{one}" for one in refused))
    return replace(policy, warnings=(*policy.warnings, *warned))


def read_policy(profile: str, *, allow_stale: bool = False, with_teacher: bool = True) -> Policy:
    """As `load_policy`, but whatever gates may gate: for the measurement that makes the tables."""
    path = find_profile(profile)
    wanted = read_profile(path)
    calibration_path = path.parent / wanted.calibration if wanted.calibration else None
    calibration = read_calibration(calibration_path) if calibration_path else None
    references_path = path.parent / wanted.references if wanted.references else None
    sha256 = _digest(path, calibration_path, references_path)
    policy = build_policy(
        wanted, calibration, sha256=sha256, allow_stale=allow_stale, folder=path.parent, with_teacher=with_teacher
    )
    if calibration is None or calibration_path is None:
        return policy
    found = find_embeddings(calibration, calibration_path)
    lost = found is None and calibration.embeddings is not None
    return replace(policy, embeddings=found, warnings=(_lost(calibration),) if lost else ())


def build_policy(
    profile: Profile,
    calibration: Calibration | None,
    *,
    sha256: str,
    allow_stale: bool = False,
    folder: Path | None = None,
    with_teacher: bool = True,
) -> Policy:
    """Join a profile with its calibration; the errors of `load_policy`.

    Args:
        folder: where the profile's relative paths start; None leaves its references, teacher and classifier out.
    """
    known = find_detectors()
    problems = Problems()
    add_unknown(problems, profile.detectors, lambda name: f"detectors.{plain(name)}")
    problems.stop_if_any()
    joint = calibration.joint if calibration else ()
    references = calibration.detectors if calibration else {}
    rules = tuple(_rule(profile, known[name], references.get(name), joint) for name in profile.detectors)
    policy = Policy(
        name=profile.name,
        alpha=profile.alpha,
        near_duplicate_bits=profile.near_duplicate_bits,
        near_duplicate_agreement=profile.near_duplicate_agreement if profile.near_duplicate_bits else None,
        rules=rules,
        joint=joint,
        sha256=sha256,
        encoder_digest=calibration.encoder_digest if calibration else None,
        model_digest=calibration.model_digest if calibration else None,
        asked=models_of(calibration) if calibration else {},
        group_by=calibration.group_by if calibration else (),
        groups={} if calibration is None else _levels(calibration, rules, profile.alpha),
        size=calibration.size if calibration else None,
        allow_stale=allow_stale,
        background=profile.background,
        tile_px=profile.tile_px,
        settings=settings_of(profile, folder, with_teacher=with_teacher),
    )
    if calibration is None:
        return policy
    return policy.admit([*of_files(profile, calibration, known), *of_settings(policy.settings, calibration)])


def _refuse_shown_only(policy: Policy) -> None:
    """A number that means nothing from one prompt to the next decides nothing, however it was calibrated."""
    known = find_detectors()
    reasons = {rule.detector: getattr(known[rule.detector], "shown_only", None) for rule in policy.rules}
    gating = [rule for rule in policy.rules if reasons[rule.detector] and (rule.importance or rule.ceiling is not None)]
    if gating:
        raise SpecError(
            [
                f"profile {policy.name} detectors.{rule.detector}: is shown and never judges, because "
                f"{reasons[rule.detector]} (got importance {rule.importance:g}, ceiling {rule.ceiling}). "
                "Cure: importance 0 and no ceiling."
                for rule in gating
            ]
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


def _lost(calibration: Calibration) -> str:
    assert calibration.embeddings is not None
    return (
        f"calibration: its pictures' embeddings ({calibration.embeddings.file}) are missing or no longer those it was "
        "made with, so the batch gates compare with earlier runs. Cure: qcgen calibrate again"
    )


def _digest(*paths: Path | None) -> str:
    # One that is missing is told by whoever reads it.
    parts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path is not None and path.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
