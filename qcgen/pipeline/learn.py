"""From stored rows and people's decisions to a proposed policy, and from an accepted proposal to its files."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from qcgen.core.errors import SpecError
from qcgen.core.types import Measure, Outcome, Row, Score
from qcgen.core.wording import several
from qcgen.pipeline.decisions import Decision
from qcgen.qc.asking import asked_of
from qcgen.qc.calibrate import calibrate
from qcgen.qc.groups import with_size
from qcgen.qc.judge import judge, p_values
from qcgen.qc.learn import fit_weights, importances, predict, refuse_too_few
from qcgen.qc.policy import Policy, build_policy
from qcgen.qc.profile import Calibration, Profile, write_calibration
from qcgen.qc.separation import folds_by_group

Shares = Mapping[str, Mapping[str, Mapping[str, float]]]


class Proposal(BaseModel):
    """A new version of a policy for a person to accept; nothing uses it before.

    Attributes:
        parent: digest of the policy that it would replace.
        predicted: of `current` and `proposed`: `queue` and `escapes`, each `value`, `low`, `high`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    created: str
    profile: str
    parent: str
    runs: tuple[str, ...]
    decided: int
    rejected: int
    audited: int
    products: int
    importances: Mapping[str, tuple[float, float]]
    predicted: Shares
    new_profile: Profile
    new_calibration: Calibration


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that may teach: its scores, whether it was flagged, and what a person said, if anybody did."""

    measures: tuple[Measure, ...]
    fields: Mapping[str, str]
    product: str
    flagged: bool
    decision: str | None
    run_id: str


def collect(run_id: str, rows: Iterable[Row], decisions: Sequence[Decision], policy: Policy, *, by: str) -> list[Seen]:
    """The run's accepted and flagged pictures; known answers (`gold`) and hard rejects teach nothing."""
    gold = {one.image_id for one in decisions if one.sampled_as == "gold"}
    said = {one.image_id: one.decision for one in decisions}
    versions = {rule.detector: rule.version for rule in policy.rules}
    found = []
    for row in rows:
        if row.outcome not in (Outcome.ACCEPT, Outcome.REVIEW) or row.image_id in gold:
            continue
        scores = tuple(Score(name, versions[name], one) for name, one in row.measures.items() if name in versions)
        fields = with_size(row.fields, row.width, row.height)
        decision = said.get(row.image_id, row.decision)
        flagged = row.outcome is Outcome.REVIEW
        found.append(Seen(scores, fields, fields.get(by) or row.sku, flagged, decision, run_id))
    return found


def propose(
    seen: Sequence[Seen], profile: Profile, policy: Policy, *, name: str, encoder: str | None, model: str | None
) -> Proposal:
    """Fit, cross-validate by product, and calibrate the proposed policy.

    Args:
        name: the profile's name or path as the user gave it.
        encoder, model: digests behind the scores.

    Raises:
        SpecError: too few decisions, or nothing to learn from them.
    """
    known = [one for one in seen if one.decision is not None]
    rejected = np.array([one.decision == "reject" for one in known], dtype=bool)
    audited = sum(not one.flagged for one in known)
    products = {one.product for one in known}
    refuse_too_few(int(rejected.sum()), audited, len(products))
    names = [rule.detector for rule in policy.rules if rule.reference is not None]
    lesson = _Lesson(seen, known, rejected, _weights(seen, known), names, profile, policy, encoder, model)
    flagged = np.zeros(len(known), dtype=bool)
    fold = folds_by_group([one.product for one in known])
    for held in np.unique(fold):
        part = np.flatnonzero(fold == held)
        made = build_policy(*lesson.learn({known[place].product for place in part}), sha256="")
        flagged[part] = [_flags(known[place], made) for place in part]
    now = np.array([_flags(one, policy) for one in known], dtype=bool)
    new_profile, new_calibration = lesson.learn(set())
    return Proposal(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        profile=name,
        parent=policy.sha256,
        runs=tuple(sorted({one.run_id for one in seen})),
        decided=len(known),
        rejected=int(rejected.sum()),
        audited=audited,
        products=len(products),
        importances={one: (profile.detectors[one].importance, new_profile.detectors[one].importance) for one in names},
        predicted={
            "current": asdict(predict(now, rejected, lesson.weight)),
            "proposed": asdict(predict(flagged, rejected, lesson.weight)),
        },
        new_profile=new_profile,
        new_calibration=new_calibration,
    )


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Decided pictures with their weights, and what a policy is made from; `seen` are all, decided or not."""

    seen: Sequence[Seen]
    known: Sequence[Seen]
    rejected: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]
    names: Sequence[str]
    profile: Profile
    policy: Policy
    encoder: str | None
    model: str | None

    def learn(self, held: set[str]) -> tuple[Profile, Calibration]:
        """The policy's files from every product that is not held back."""
        places = [place for place, one in enumerate(self.known) if one.product not in held]
        surprise = np.array([_surprise(self.known[place], self.policy, self.names) for place in places])
        chosen = importances(self.names, fit_weights(surprise, self.rejected[places], self.weight[places]))
        rules = {
            name: rule.model_copy(update={"importance": chosen.get(name, rule.importance)})
            for name, rule in self.profile.detectors.items()
        }
        changes = {"detectors": rules, "revision": self.profile.revision + 1, "parent": self.policy.sha256}
        profile = self.profile.model_copy(update=changes)
        good = [one for one in self.seen if one.product not in held and _good(one)]
        runs = ", ".join(sorted({one.run_id for one in self.seen}))
        return profile, calibrate(
            [one.measures for one in good],
            profile,
            source=f"accepted pictures of {runs}, importances learnt from {several(len(places), 'decision')}",
            encoder_digest=self.encoder,
            model_digest=self.model,
            fields=[one.fields for one in good],
            group_by=self.policy.group_by,
            asked=asked_of(self.policy.settings),
        )


def describe_proposal(proposal: Proposal) -> str:
    """For the person who decides on it."""
    lines = [
        f"from {several(proposal.decided, 'decision')} ({proposal.rejected} rejected, {proposal.audited} on "
        "accepted pictures) on "
        f"{several(proposal.products, 'product')}, {several(len(proposal.runs), 'run')}"
    ]
    lines += [f"{name}: importance {old:g} -> {new:g}" for name, (old, new) in proposal.importances.items()]
    for what, unit in (("queue", "of the pictures go to people"), ("escapes", "of what passes is bad")):
        now, then = (proposal.predicted[side][what] for side in ("current", "proposed"))
        lines.append(f"{what}: {_text(now)} -> {_text(then)} {unit} (on products not fitted on)")
    return "\n".join(lines)


def read_proposal(path: Path) -> Proposal:
    try:
        return Proposal.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SpecError(f"{path}: no such proposal. Cure: qcgen learn propose.") from None
    except ValidationError as error:
        raise SpecError(
            f"{path}: is no proposal ({several(error.error_count(), 'mistake')}). Cure: qcgen learn propose."
        ) from None


def accept_proposal(proposal: Proposal, policy: Policy, folder: Path) -> Path:
    """Write the proposed profile and its calibration as new files; returns the profile's path.

    Raises:
        SpecError: the policy is no longer the proposal's parent, or the files exist.
    """
    if policy.sha256 != proposal.parent:
        raise SpecError(
            f"PROPOSAL: was made for the policy {proposal.parent[:12]} (got {policy.sha256[:12]}: profile "
            f"{proposal.profile} has changed since). Cure: qcgen learn propose again."
        )
    made = proposal.new_profile
    stem = f"{made.name}.{made.revision}"
    path, calibration = folder / f"{stem}.json", folder / f"{stem}.calibration.json"
    taken = [str(one) for one in (path, calibration) if one.exists()]
    if taken:
        raise SpecError(f"--to: must not hold {', '.join(taken)} already. Cure: another folder; versions are kept.")
    write_calibration(proposal.new_calibration, calibration)
    text = made.model_copy(update={"calibration": calibration.name}).model_dump_json(indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _good(one: Seen) -> bool:
    """Accepted by a person, or passed and refused by none."""
    return one.decision == "accept" or (one.decision is None and not one.flagged)


def _weights(seen: Sequence[Seen], known: Sequence[Seen]) -> npt.NDArray[np.float64]:
    """One over the share of its kind (flagged or passed, in its run) that was decided."""

    def count(among: Sequence[Seen], one: Seen) -> int:
        return sum((other.run_id, other.flagged) == (one.run_id, one.flagged) for other in among)

    kinds = {(one.run_id, one.flagged): one for one in known}
    factors = {kind: count(seen, one) / count(known, one) for kind, one in kinds.items()}
    return np.array([factors[one.run_id, one.flagged] for one in known])


def _surprise(one: Seen, policy: Policy, names: Sequence[str]) -> list[float]:
    found = p_values(one.measures, policy, fields=one.fields)
    return [-float(np.log(found.get(name, 1.0))) for name in names]


def _flags(one: Seen, policy: Policy) -> bool:
    return judge(one.measures, policy, fields=one.fields).outcome is Outcome.REVIEW


def _text(share: Mapping[str, float]) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
