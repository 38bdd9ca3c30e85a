"""What a whole run must satisfy before it is delivered: no missing items, an acceptance number, a flag rate; the gates
on its distribution are in `batchgates`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scipy.special import bdtr

from qcgen.core.control import NEEDED_RUNS, laney
from qcgen.core.errors import BlockedError
from qcgen.core.job import GateSpec, JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity
from qcgen.core.wording import part_of, several
from qcgen.pipeline.batchgates import COLLAPSE, EMBEDDINGS, MOST, judge_batch, survey, survey_run
from qcgen.pipeline.embeddings import embeddings_of
from qcgen.qc.embeddings import Embeddings, concatenate, read_embeddings
from qcgen.qc.policy import Policy
from qcgen.qc.stale import stamp

FLAG_RATE = "gate_flag_rate"
AQL = "gate_aql"
FAILED = "gate_failed_items"
ENCODER_DIGEST = "encoder_digest"
ASKED_DIGESTS = {"teacher": "teacher_digest", "classifier": "classifier_digest"}
"""Keys of `RunInfo.environment`: the encoder's, and by the profile's key those of the models that its checks asked."""
_OF_EMBEDDINGS = (COLLAPSE, EMBEDDINGS)
_PRODUCER_CONFIDENCE = 0.95


def asked_by(run: RunInfo) -> dict[str, str | None]:
    """Digests, as `asking.asked_of` writes them, of the models that the run's scores came from; None: not recorded."""
    return {key: run.environment.get(name) for key, name in ASKED_DIGESTS.items()}


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of a run by what stands for them; `retried` counts attempts beyond the first."""

    accepted: int = 0
    flagged: int = 0
    rejected: int = 0
    failed: int = 0
    retried: int = 0

    @property
    def generated(self) -> int:
        return self.accepted + self.flagged + self.rejected


def judge_run(
    run: RunInfo, store: Store, policy: Policy, *, decisions: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Every gate of a run, from its stored rows and the embeddings in its folder.

    Args:
        decisions: `accept` or `reject` by image id, beside those stored.
    """
    job = JobSpec.model_validate_json(run.spec_json)
    gate = job.qc.gate
    history = [past for past in store.runs() if past.name == run.name and past.run_id != run.run_id]
    encoder = run.environment.get(ENCODER_DIGEST)
    own = partial(embeddings_of, Path(run.out_dir), encoder)
    reference = partial(_reference, run, store, policy, history, encoder)
    seen = survey_run(store, run.run_id, decisions)
    stale = [replace(one, severity=Severity.WARN) for one in stamp(policy.stale)]
    return (
        *judge_gates(count(store.rows(run.run_id)), gate, history),
        *judge_batch(run, seen, policy, gate, history, review=job.review, own=own, reference=reference),
        *stale,
    )


def refuse_red(run: RunInfo) -> None:
    """Stop what would deliver a run with a red gate.

    Raises:
        BlockedError: with what each red gate found.
    """
    red = [f"{gate.kind}: {gate.message}" for gate in run.gates if gate.severity is Severity.BLOCK]
    if red:
        cure = "Cure: mend the cause and run again, or judge by another policy (qcgen judge); nothing was written."
        raise BlockedError("\n".join([f"run {run.run_id} of {run.name}: a gate is red. {cure}", *red]))


def _reference(
    run: RunInfo, store: Store, policy: Policy, history: Sequence[RunInfo], encoder: str | None
) -> Embeddings | None:
    """The calibration's pictures, else those of the newest runs of this job by the same model without an alarm."""
    if policy.embeddings is not None and (known := read_embeddings([policy.embeddings], encoder=encoder)):
        return known
    found: list[Embeddings] = []
    for past in history:
        alike = past.status == "complete" and past.model_digest == run.model_digest
        if alike and not any(one.kind in _OF_EMBEDDINGS and one.severity is not Severity.INFO for one in past.gates):
            kept = embeddings_of(Path(past.out_dir), encoder)
            found += [] if kept is None else [kept.only(survey(store.rows(past.run_id)).shown)]
        if sum(len(one.ids) for one in found) >= MOST:
            break
    return concatenate(found)


def count(rows: Iterable[Row]) -> Counts:
    """Counts of the rows that stand."""
    tally = dict.fromkeys(Outcome, 0)
    retried = 0
    for row in rows:
        tally[row.outcome] += 1
        retried += row.attempt - 1
    return Counts(tally[Outcome.ACCEPT], tally[Outcome.REVIEW], tally[Outcome.REJECT], tally[Outcome.FAILED], retried)


def judge_gates(counts: Counts, gate: GateSpec, history: Sequence[RunInfo]) -> tuple[Finding, ...]:
    """One finding per gate: `block` is red, `info` passed or still learns what is normal.

    Args:
        history: earlier runs of the same job, newest first; complete ones that kept their flag rate are used.
    """
    flag_rate = _judge_flag_rate(counts, gate, history)
    return (_judge_failed(counts), _judge_aql(counts, gate.aql), *([flag_rate] if flag_rate else []))


def acceptance_number(lot: int, aql: float) -> int:
    """Most rejects that a lot of `lot` may have and pass: one at exactly `aql` per cent passes 95 times in 100.

    The whole lot is inspected, so this is the binomial bound and no sampling table.
    """
    allowed = 0
    while allowed < lot and bdtr(allowed, lot, aql / 100) < _PRODUCER_CONFIDENCE:
        allowed += 1
    return allowed


def _judge_failed(counts: Counts) -> Finding:
    if counts.failed:
        message = (
            f"{several(counts.failed, 'item has', 'items have')} no picture (the model gave none that could be shown)."
        )
        return Finding(FAILED, Severity.BLOCK, message, float(counts.failed), 0.0)
    return Finding(FAILED, Severity.INFO, "Every item has a picture.", 0.0, 0.0)


def _judge_aql(counts: Counts, aql: float) -> Finding:
    allowed = acceptance_number(counts.generated, aql)
    red = counts.rejected > allowed
    verb = "more than" if red else "within"
    lot = f"{part_of(counts.rejected, counts.generated, 'item', 'is', 'are')} rejected after every retry"
    message = f"{lot}, {verb} the {allowed} that AQL {aql:g} % allows."
    return Finding(AQL, Severity.BLOCK if red else Severity.INFO, message, float(counts.rejected), float(allowed))


def _judge_flag_rate(counts: Counts, gate: GateSpec, history: Sequence[RunInfo]) -> Finding | None:
    if not counts.generated:
        return None
    share = (counts.flagged + counts.rejected) / counts.generated
    size = {"items": str(counts.generated)}
    found = f"{share:.1%} of the items are flagged or rejected"
    if gate.flag_rate != "spc":
        return _compare(share, gate.flag_rate, f"{found}; the job allows {gate.flag_rate:.1%}.", size)
    past = _past_shares(history)
    if len(past) < NEEDED_RUNS:
        # Not a warning: each of a job's first nights would carry one, and nobody could do anything about it.
        message = f"{found}; the gate still learns what is normal ({len(past)} of {NEEDED_RUNS} earlier runs)."
        return Finding(FLAG_RATE, Severity.INFO, message, share, None, size)
    limit = laney(past).limits(counts.generated).high
    return _compare(share, limit, f"{found}; the control limit of {len(past)} earlier runs is {limit:.1%}.", size)


def _compare(share: float, limit: float, message: str, size: Mapping[str, str]) -> Finding:
    return Finding(FLAG_RATE, Severity.BLOCK if share > limit else Severity.INFO, message, share, limit, size)


def _past_shares(history: Sequence[RunInfo]) -> list[tuple[float, int]]:
    """Oldest first."""
    kept = [
        gate for run in reversed(history) if run.status == "complete" for gate in run.gates if gate.kind == FLAG_RATE
    ]
    return [
        (gate.value, int(gate.evidence["items"]))
        for gate in kept
        if gate.value is not None and "items" in gate.evidence
    ]
