"""New verdicts from stored scores: another policy or calibration, duplicates among a run's pictures; no pixels read.

Rows are read twice rather than kept: with their thumbnails, those of a large run would fill the memory.
"""

from collections.abc import Mapping, Sequence

from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Finding, Measure, Outcome, Row, RunInfo, Score, Severity, Unscored, Verdict
from qcgen.core.wording import part_of
from qcgen.pipeline.gates import ENCODER_DIGEST, asked_by, judge_run
from qcgen.pipeline.reviewplan import plan_review
from qcgen.qc.duplicates import find_duplicates, tell_old
from qcgen.qc.groups import size_text, with_size
from qcgen.qc.judge import flag_p_value, judge
from qcgen.qc.policy import Policy
from qcgen.qc.queue import queue_limit
from qcgen.qc.registry import find_detectors
from qcgen.qc.stale import STALE

QUEUE = "gate_queue"
_OF_THE_POLICY = {"missing_score", "exact_duplicate", "near_duplicate", STALE}
"""Findings that a policy makes anew, beside those of the detectors."""


def rejudge(
    run: RunInfo,
    store: Store,
    policy: Policy,
    *,
    fdr: float | None = None,
    decisions: Mapping[str, str] | None = None,
) -> RunInfo:
    """Judge what stands of a run again and decide its gates anew; attempts that were replaced keep their verdicts.

    Args:
        fdr: of the queue; the job's `qc.queue.fdr` unless given.
        decisions: what people said (`accept`, `reject`) by image id, for the gates.

    Returns:
        The run as stored, without a report: the old one tells of the old verdicts.

    Raises:
        PrerequisiteError: the policy was calibrated for another student, encoder, teacher or size.
    """
    sizes = {size_text(row.width, row.height) for row in store.rows(run.run_id) if row.relpath is not None}
    size = sizes.pop() if len(sizes) == 1 else None
    policy = policy.fit(
        model_digest=run.model_digest,
        encoder_digest=run.environment.get(ENCODER_DIGEST),
        asked=asked_by(run),
        size=size,
    )
    qc = JobSpec.model_validate_json(run.spec_json).qc
    policy, queue = queue_policy(run.run_id, store, policy, fdr or qc.queue.fdr)
    verdicts = {row.image_id: _judge(row, policy) for row in store.rows(run.run_id) if row.relpath is not None}
    offered = {image_id for image_id, verdict in verdicts.items() if verdict.outcome is not Outcome.REJECT}
    hashes = [one for one in store.hashes(run.run_id) if one[0] in offered]
    repeated = find_duplicates(hashes, limit_bits=policy.near_duplicate_bits, agreement=policy.near_duplicate_agreement)
    old = tell_old(hashes, agreement=policy.near_duplicate_agreement)
    if repeated:
        verdicts |= {
            row.image_id: _judge(row, policy, [repeated[row.image_id]])
            for row in store.rows(run.run_id)
            if row.image_id in repeated
        }
    store.rejudge(run.run_id, list(verdicts.items()), policy.sha256)
    lost = plan_review(run, store)
    return store.finish_run(
        run.run_id,
        status=run.status,
        seconds=run.seconds,
        seconds_by_stage=dict(run.seconds_by_stage),
        gates=(*judge_run(run, store, policy, decisions=decisions), *queue, *old, *lost),
        report=None,
    )


def queue_policy(run_id: str, store: Store, policy: Policy, fdr: float | None) -> tuple[Policy, tuple[Finding, ...]]:
    """The policy at the level that the batch's queue gets from `fdr`, and what that level is; as it was without one.

    Pictures that a hard limit or a rule rejects are no part of the queue.
    """
    if fdr is None:
        return policy, ()
    p_values = [
        flag_p_value(_measures(row, policy), policy, fields=_fields(row))
        for row in store.rows(run_id)
        if row.relpath is not None and _judge(row, policy).outcome is not Outcome.REJECT
    ]
    limit = queue_limit(p_values, fdr)
    flagged = sum(p <= limit for p in p_values)
    message = (
        f"{part_of(flagged, len(p_values), 'picture', 'is', 'are')} flagged by their scores, at p {limit:.4g} or "
        "less: at most "
        f"{fdr:.0%} of such flags are false on average. Judged alone, p {policy.alpha:g} would do."
    )
    return policy.at(limit, fdr=fdr), (Finding(QUEUE, Severity.INFO, message, float(flagged), limit),)


def rejudge_by_job(run: RunInfo, store: Store, policy: Policy) -> None:
    """Judge what stands by the job's policy again, after another one has judged it (`qcgen judge`).

    Otherwise the pictures that this start makes would be judged by one policy and all others by another.
    """
    verdicts = [(row.image_id, _judge(row, policy)) for row in store.rows(run.run_id) if row.relpath is not None]
    store.rejudge(run.run_id, verdicts, policy.sha256)


def rejudge_queue(run_id: str, store: Store, policy: Policy, fdr: float | None) -> tuple[Policy, tuple[Finding, ...]]:
    """`queue_policy`, and the verdicts of all that stands by it."""
    policy, told = queue_policy(run_id, store, policy, fdr)
    if told:
        verdicts = [(row.image_id, _judge(row, policy)) for row in store.rows(run_id) if row.relpath is not None]
        store.rejudge(run_id, verdicts, policy.sha256)
    return policy, told


def rejudge_duplicates(run_id: str, store: Store, policy: Policy) -> tuple[Finding, ...]:
    """Compare what would be delivered: a picture near to a rejected one is no duplicate of anything.

    Returns:
        What a person should know of the comparison (`duplicates.tell_old`).
    """
    offered = {row.image_id for row in store.rows(run_id) if row.outcome in (Outcome.ACCEPT, Outcome.REVIEW)}
    hashes = [each for each in store.hashes(run_id) if each[0] in offered]
    found = find_duplicates(hashes, limit_bits=policy.near_duplicate_bits, agreement=policy.near_duplicate_agreement)
    verdicts = [
        (row.image_id, _judge(row, policy, [found[row.image_id]]))
        for row in store.rows(run_id)
        if row.image_id in found and not _knows(row, found[row.image_id])
    ]
    if verdicts:
        store.rejudge(run_id, verdicts, policy.sha256)
    return tell_old(hashes, agreement=policy.near_duplicate_agreement)


def _judge(row: Row, policy: Policy, extra: Sequence[Finding] = ()) -> Verdict:
    kept = [
        reason for reason in row.reasons if reason.kind not in _OF_THE_POLICY and reason.kind not in find_detectors()
    ]
    return judge(_measures(row, policy), policy, extra=(*kept, *extra), fields=_fields(row))


def _fields(row: Row) -> Mapping[str, str]:
    return with_size(row.fields, row.width, row.height)


def _measures(row: Row, policy: Policy) -> tuple[Measure, ...]:
    """Scores carry no version in a row: those stored are taken for the installed detectors'."""
    versions: Mapping[str, int] = {rule.detector: rule.version for rule in policy.rules}
    # A row keeps the facts behind a score only where they were part of a finding.
    facts = {
        reason.kind: {name: text for name, text in reason.evidence.items() if name not in ("p", "level")}
        for reason in row.reasons
    }
    scores = [
        Score(name, versions[name], value, facts.get(name, {}))
        for name, value in row.measures.items()
        if name in versions
    ]
    unscored = [Unscored(name, versions[name], reason) for name, reason in row.unscored.items() if name in versions]
    return (*scores, *unscored)


def _knows(row: Row, finding: Finding) -> bool:
    return any((reason.kind, reason.evidence) == (finding.kind, finding.evidence) for reason in row.reasons)
