"""What people are asked about a run: from rows to tasks, the same ones whenever it is asked.

The queue's order is by expected cost: the weight of the reason times (1 - joint p). Tasks that measure, audits, seeds
and second looks, borrow the cost of a flagged one by lot, so that their place in the queue does not tell what they are.
Pure but for `plan_review`.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from qcgen.core.job import GateSpec, JobSpec, ReviewSpec
from qcgen.core.reasoncodes import OTHER, code_of_finding, is_critical, weight_of
from qcgen.core.review import Filter, Kind, ReviewStore, Role, State, Task, TaskDraft
from qcgen.core.store import Store
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity
from qcgen.core.wording import file_name, several
from qcgen.pipeline.batchgates import Survey, add_to_survey, sample_of, stratum_of
from qcgen.pipeline.seeds import SeedSource, make_seeds, pick_seeds, seeds_for

_RANK = {Severity.BLOCK: 0, Severity.WARN: 1, Severity.INFO: 2}
SEEDS = "gate_seeds"
Place = tuple[str, Kind]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the plan needs of a row.

    Attributes:
        asked_for: a reviewer asked for this attempt.
        blocked: it has a blocking finding.
    """

    image_id: str
    stratum: str
    outcome: Outcome
    current: bool
    relpath: str
    file_sha256: str
    cost: float
    code: str
    blocked: bool
    asked_for: bool


def plan_review(run: RunInfo, store: Store) -> tuple[Finding, ...]:
    """Bring the run's tasks up to its rows: add what is missing, cancel what is no longer asked. Changes nothing twice.

    Returns:
        What a person should know: accepted pictures that a known defect was to be planted in, and that are gone.

    Raises:
        PausedError: the disk is full; seeds that are not written are not planned.
    """
    job = JobSpec.model_validate_json(run.spec_json)
    seen, found = _read(run.run_id, store)
    wanted = plan_tasks(run.run_id, found, seen, job.qc.gate, job.review, people=_people(store.review))
    known = {(one.image_id, one.kind): one for one in _every_task(store.review, run.run_id)}
    drafts = [one for one in wanted if not _looked_at(one, known)]
    seeds, lost = _seeds(run, job, found, drafts, known)
    gone = _no_longer_asked(known.values(), {(one.image_id, one.kind) for one in wanted}, found)
    for kind, ids in sorted(gone.items()):
        store.review.cancel_tasks(run.run_id, sorted(ids), kinds=[kind])
    # Their numbers follow the order of storing, which must not tell the kinds apart.
    shuffled = sorted([*drafts, *seeds], key=lambda one: _lot(run.run_id, "order", one.image_id + one.kind))
    store.review.add_tasks(run.run_id, shuffled)
    return _tell_lost(lost, Path(run.out_dir))


def plan_tasks(
    run_id: str, found: Sequence[Candidate], seen: Survey, gate: GateSpec, review: ReviewSpec, *, people: int
) -> list[TaskDraft]:
    """All tasks that the run should have but its seeds.

    Args:
        people: how many can decide; a second look needs two.
    """
    flagged = [_draft(one, Kind.FLAGGED) for one in found if _is_flagged(one, review)]
    by_id = {one.image_id: one for one in found}
    audits = [
        replace(_draft(by_id[one.image_id], Kind.AUDIT), stratum=one.stratum, inclusion_p=one.inclusion_p, code="")
        for one in sample_of(run_id, seen, gate, review)
        if by_id[one.image_id].current
    ]
    borrow = _borrower(run_id, [one.cost for one in flagged])
    audits = [replace(one, cost=borrow(one)) for one in audits]
    doubles = [
        replace(one, kind=Kind.DOUBLE, inclusion_p=1.0 if _is_critical(one, by_id[one.image_id]) else review.double)
        for one in (*flagged, *audits)
        if people > 1 and _is_doubled(run_id, one, by_id[one.image_id], review.double)
    ]
    return [*flagged, *audits, *(replace(one, cost=borrow(one)) for one in doubles)]


def candidate(row: Row, *, asked_for: bool) -> Candidate | None:
    """None for an attempt without a picture."""
    if row.relpath is None or row.file_sha256 is None:
        return None
    worst = min(row.reasons, key=lambda one: _RANK[one.severity], default=None)
    code = OTHER if worst is None else code_of_finding(worst.kind)
    return Candidate(
        image_id=row.image_id,
        stratum=stratum_of(row),
        outcome=row.outcome,
        current=row.current,
        relpath=row.relpath,
        file_sha256=row.file_sha256,
        cost=weight_of(code) * (1.0 - (row.joint_p or 0.0)),
        code=code,
        blocked=worst is not None and worst.severity is Severity.BLOCK,
        asked_for=asked_for,
    )


def _read(run_id: str, store: Store) -> tuple[Survey, list[Candidate]]:
    """One pass over the rows, of which only what the plan needs is kept."""
    replacements = store.review.replacements(run_id)
    asked_for = frozenset(replacements.values())
    seen, found = Survey(), []
    for row in store.rows(run_id, every_attempt=bool(replacements)):
        add_to_survey(seen, replace(row, measures={}), replaced=replacements.keys(), asked_for=asked_for)
        one = candidate(row, asked_for=row.image_id in asked_for)
        if one is not None:
            found.append(one)
    return seen, found


def _draft(one: Candidate, kind: Kind) -> TaskDraft:
    return TaskDraft(
        image_id=one.image_id,
        kind=kind,
        stratum=one.stratum,
        inclusion_p=1.0,
        cost=one.cost,
        code=one.code,
        relpath=one.relpath,
        file_sha256=one.file_sha256,
    )


def _is_flagged(one: Candidate, review: ReviewSpec) -> bool:
    asked = one.outcome is Outcome.REVIEW or one.asked_for
    return one.current and (asked or (review.rejected and one.outcome is Outcome.REJECT))


def _is_critical(draft: TaskDraft, one: Candidate) -> bool:
    return draft.kind is Kind.FLAGGED and (one.blocked or is_critical(one.code))


def _is_doubled(run_id: str, draft: TaskDraft, one: Candidate, share: float) -> bool:
    return share > 0 and (_is_critical(draft, one) or _lot(run_id, "double", one.image_id) < share)


def _borrower(run_id: str, costs: Sequence[float]) -> Callable[[TaskDraft], float]:
    """A flagged task's cost for one that is not, drawn by lot; of no costs, the lot itself."""

    def borrow(one: TaskDraft) -> float:
        lot = _lot(run_id, "cost", f"{one.image_id} {one.kind}")
        return costs[int(lot * len(costs))] if costs else lot

    return borrow


def _seeds(
    run: RunInfo, job: JobSpec, found: Sequence[Candidate], drafts: Sequence[TaskDraft], known: Mapping[Place, Task]
) -> tuple[list[TaskDraft], int]:
    """Seeds that the run does not have yet, written to its folder."""
    shown = {image_id for image_id, _ in known} | {one.image_id for one in drafts}
    have = {one.source_id for one in known.values() if one.kind is Kind.SEED}
    queue = sum(one.kind in (Kind.FLAGGED, Kind.AUDIT) for one in drafts)
    sources = [
        SeedSource(one.image_id, one.stratum, one.relpath, one.file_sha256, one.image_id in shown)
        for one in found
        if one.current and one.outcome is Outcome.ACCEPT and not one.asked_for and one.image_id not in have
    ]
    picked = pick_seeds(run.run_id, sources, max(0, seeds_for(queue, job.review.seeds) - len(have)))
    made = make_seeds(run.run_id, picked, Path(run.out_dir), job.output.format)
    borrow = _borrower(run.run_id, [one.cost for one in drafts if one.kind is Kind.FLAGGED])
    return [replace(one, cost=borrow(one)) for one in made.drafts], made.lost


def _tell_lost(lost: int, folder: Path) -> tuple[Finding, ...]:
    if not lost:
        return ()
    message = (
        f"{several(lost, 'known defect')} could not be planted in the review queue: the accepted pictures are not in "
        f"{file_name(folder)} as they were recorded. Cure: delete those that were changed and start the run again, "
        "it makes lost files anew."
    )
    return (Finding(SEEDS, Severity.WARN, message, float(lost), None),)


def _looked_at(draft: TaskDraft, known: Mapping[Place, Task]) -> bool:
    """An audit of a picture that was flagged before the verdicts changed, and decided: a person has seen it."""
    before = known.get((draft.image_id, Kind.FLAGGED))
    return draft.kind is Kind.AUDIT and before is not None and before.state is State.DONE


def _no_longer_asked(
    known: Iterable[Task], wanted: AbstractSet[Place], found: Sequence[Candidate]
) -> Mapping[Kind, set[str]]:
    current = {one.image_id for one in found if one.current}
    gone: dict[Kind, set[str]] = {}
    for task in known:
        if task.kind is Kind.SEED or task.state is not State.OPEN:
            continue
        asked = task.image_id in current if task.kind is Kind.DISPUTE else (task.image_id, task.kind) in wanted
        if not asked:
            gone.setdefault(task.kind, set()).add(task.image_id)
    return gone


def _every_task(desk: ReviewStore, run_id: str) -> Iterable[Task]:
    after = 0
    while page := desk.tasks(run_id, only=Filter(), after=after, limit=2_000):
        yield from page
        after = page[-1].id


def _people(desk: ReviewStore) -> int:
    return sum(one.active and one.role is not Role.MANAGER for one in desk.users())


def _lot(run_id: str, what: str, name: str) -> float:
    """A number in [0, 1) that depends on its arguments alone."""
    return int.from_bytes(hashlib.sha256(f"{run_id} {what} {name}".encode()).digest()[:7], "big") / 2**56
