"""New verdicts from stored scores: another policy or calibration, duplicates among a run's pictures; no pixels read.

Rows are read twice rather than kept: with their thumbnails, those of a large run would fill the memory.
"""

from collections.abc import Mapping, Sequence

from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Score, Unscored, Verdict
from qcgen.pipeline.gates import count, judge_gates
from qcgen.qc.groups import with_size
from qcgen.qc.judge import judge
from qcgen.qc.phash import find_duplicates
from qcgen.qc.policy import Policy
from qcgen.qc.registry import find_detectors

_OF_THE_POLICY = {"missing_score", "exact_duplicate", "near_duplicate"}
"""Findings that a policy makes anew, beside those of the detectors."""


def rejudge(run: RunInfo, store: Store, policy: Policy) -> RunInfo:
    """Judge what stands of a run again and decide its gates anew; attempts that were replaced keep their verdicts.

    Returns:
        The run as stored, without a report: the old one tells of the old verdicts.
    """
    verdicts = {row.image_id: _judge(row, policy) for row in store.rows(run.run_id) if row.relpath is not None}
    offered = {image_id for image_id, verdict in verdicts.items() if verdict.outcome is not Outcome.REJECT}
    hashes = [one for one in store.hashes(run.run_id) if one[0] in offered]
    repeated = find_duplicates(hashes, limit_bits=policy.near_duplicate_bits)
    if repeated:
        verdicts |= {
            row.image_id: _judge(row, policy, [repeated[row.image_id]])
            for row in store.rows(run.run_id)
            if row.image_id in repeated
        }
    store.rejudge(run.run_id, list(verdicts.items()), policy.sha256)
    gate = JobSpec.model_validate_json(run.spec_json).qc.gate
    history = [past for past in store.runs() if past.name == run.name and past.run_id != run.run_id]
    return store.finish_run(
        run.run_id,
        status=run.status,
        seconds=run.seconds,
        seconds_by_stage=dict(run.seconds_by_stage),
        gates=judge_gates(count(store.rows(run.run_id)), gate, history),
        report=None,
    )


def rejudge_duplicates(run_id: str, store: Store, policy: Policy) -> None:
    """Compare what would be delivered: a picture near to a rejected one is no duplicate of anything."""
    offered = {row.image_id for row in store.rows(run_id) if row.outcome in (Outcome.ACCEPT, Outcome.REVIEW)}
    hashes = [each for each in store.hashes(run_id) if each[0] in offered]
    found = find_duplicates(hashes, limit_bits=policy.near_duplicate_bits)
    if not found:
        return
    verdicts = [
        (row.image_id, _judge(row, policy, [found[row.image_id]]))
        for row in store.rows(run_id)
        if row.image_id in found and not _knows(row, found[row.image_id])
    ]
    if verdicts:
        store.rejudge(run_id, verdicts, policy.sha256)


def _judge(row: Row, policy: Policy, extra: Sequence[Finding] = ()) -> Verdict:
    """Scores carry no version in a row: those stored are taken for the installed detectors'."""
    versions: Mapping[str, int] = {rule.detector: rule.version for rule in policy.rules}
    scores = [Score(name, versions[name], value) for name, value in row.measures.items() if name in versions]
    unscored = [Unscored(name, versions[name], reason) for name, reason in row.unscored.items() if name in versions]
    kept = [
        reason for reason in row.reasons if reason.kind not in _OF_THE_POLICY and reason.kind not in find_detectors()
    ]
    fields = with_size(row.fields, row.width, row.height)
    return judge((*scores, *unscored), policy, extra=(*kept, *extra), fields=fields)


def _knows(row: Row, finding: Finding) -> bool:
    return any((reason.kind, reason.evidence) == (finding.kind, finding.evidence) for reason in row.reasons)
