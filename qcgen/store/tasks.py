"""Review tasks as rows: add, cancel, lease, page, count."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from qcgen.core.review import Choice, Filter, Kind, Progress, Role, State, Task, TaskDraft
from qcgen.core.wording import several
from qcgen.store.codec import finite
from qcgen.store.reviewschema import HELD, OPEN, review_decision, review_progress, review_task
from qcgen.store.schema import run
from qcgen.store.standing import STANDS

_PAGE = 500
_t = review_task.c
Change = tuple[str, str]
"""Kind and code."""


def add(connection: Connection, run_seq: int, drafts: Sequence[TaskDraft]) -> int:
    """Insert what is missing, open again what was cancelled or is about another file by now."""
    found = 0
    for start in range(0, len(drafts), _PAGE):
        found += _add_page(connection, run_seq, drafts[start : start + _PAGE])
    return found


def _add_page(connection: Connection, run_seq: int, drafts: Sequence[TaskDraft]) -> int:
    known = _known(connection, run_seq, [one.image_id for one in drafts])
    fresh = {(one.image_id, one.kind): one for one in drafts if (one.image_id, one.kind) not in known}
    if fresh:
        connection.execute(insert(review_task), [_draft_row(run_seq, one) for one in fresh.values()])
    count(connection, run_seq, total=Counter((str(one.kind), one.code) for one in fresh.values()))
    again = [
        (known[key], one)
        for one in drafts
        if (key := (one.image_id, one.kind)) in known
        and (known[key].state is State.CANCELLED or known[key].file_sha256 != one.file_sha256)
    ]
    for task, draft in again:
        _reopen(connection, run_seq, task, draft)
    return len(fresh) + len(again)


def _reopen(connection: Connection, run_seq: int, task: Task, draft: TaskDraft) -> None:
    total, done = task.state is not State.CANCELLED, task.state is State.DONE
    count(
        connection,
        run_seq,
        total=Counter({(str(task.kind), task.code): -int(total)}),
        done=Counter({(str(task.kind), task.code): -int(done)}),
    )
    values = _draft_row(run_seq, draft) | {"revision": task.revision + 1}
    connection.execute(update(review_task).where(_t.id == task.id).values(**values))
    count(connection, run_seq, total=Counter([(str(draft.kind), draft.code)]))


def cancel(connection: Connection, run_seq: int, image_ids: Sequence[str], kinds: Sequence[Kind] | None) -> int:
    found = 0
    for start in range(0, len(image_ids), _PAGE):
        where = (_t.run_seq == run_seq) & _t.image_id.in_(image_ids[start : start + _PAGE]) & OPEN
        if kinds is not None:
            where &= _t.kind.in_([str(one) for one in kinds])
        closed = connection.execute(
            update(review_task)
            .where(where)
            .values(state=str(State.CANCELLED), revision=_t.revision + 1, lease_by=None, lease_until=None)
            .returning(_t.kind, _t.code)
        ).all()
        count(connection, run_seq, total=Counter({key: -n for key, n in Counter(map(tuple, closed)).items()}))
        found += len(closed)
    return found


def count(
    connection: Connection,
    run_seq: int,
    *,
    total: Mapping[Change, int] | None = None,
    done: Mapping[Change, int] | None = None,
) -> None:
    """Add to the run's counts, by kind and code."""
    totals, dones = total or {}, done or {}
    table = review_progress.c
    for kind, code in sorted({*totals, *dones}):
        more = {"total": totals.get((kind, code), 0), "done": dones.get((kind, code), 0)}
        if not any(more.values()):
            continue
        changed = connection.execute(
            update(review_progress)
            .where(table.run_seq == run_seq, table.kind == kind, table.code == code)
            .values(total=table.total + more["total"], done=table.done + more["done"])
        ).rowcount
        if not changed:
            connection.execute(insert(review_progress), {"run_seq": run_seq, "kind": kind, "code": code, **more})


def lease(
    connection: Connection,
    reviewer: str,
    *,
    runs: Sequence[int] | None,
    n: int,
    now: float,
    until: float,
    role: Role,
    only: Filter,
) -> list[Task]:
    """Take the next tasks; the caller holds the `review` lock. `runs` None means all runs."""
    held = [to_task(row) for row in _held(connection, reviewer, only) if runs is None or row.run_seq in runs][:n]
    taken = _images_held(connection, reviewer)
    for skipped in (False, True):
        if len(held) < n:
            free = _free(reviewer, now=now, role=role, only=only, skipped=skipped)
            held += _pick(connection, free, runs, taken, n - len(held))
    fresh = [one.id for one in held if one.lease_by != reviewer]
    _set_lease(connection, reviewer, [one.id for one in held], until, bump=fresh)
    return [
        replace(one, revision=one.revision + (one.id in fresh), lease_by=reviewer, lease_until=until) for one in held
    ]


def _held(connection: Connection, reviewer: str, only: Filter) -> Sequence[Row[tuple[object, ...]]]:
    # Without the run, whose index would be walked from end to end where this person holds nothing.
    mine = _query().where(HELD, OPEN, _t.lease_by == reviewer, _matches(only))
    return connection.execute(_costly_first(mine)).all()


def _images_held(connection: Connection, reviewer: str) -> set[tuple[int, str]]:
    rows = connection.execute(select(_t.run_seq, _t.image_id).where(HELD, OPEN, _t.lease_by == reviewer))
    return {(row[0], row[1]) for row in rows}


def _free(reviewer: str, *, now: float, role: Role, only: Filter, skipped: bool) -> Select[tuple[object, ...]]:
    """Open tasks that nobody holds and this person may do; those that they skipped, or all others."""
    said = review_decision.c
    by_me = (said.run_seq == _t.run_seq) & (said.image_id == _t.image_id) & (said.reviewer == reviewer)
    by_me &= STANDS & (said.image_sha256 == _t.file_sha256)
    answered = exists().where(by_me, said.choice != str(Choice.SKIP))
    passed_on = exists().where(by_me, said.choice == str(Choice.SKIP), said.task_id == _t.id)
    query = _query().where(
        OPEN,
        or_(_t.lease_until.is_(None), _t.lease_until <= now),
        or_(_t.lease_by.is_(None), _t.lease_by != reviewer),
        _matches(only),
        ~answered,
        passed_on if skipped else ~passed_on,
    )
    return query if role is Role.ADJUDICATOR else query.where(_t.kind != str(Kind.DISPUTE))


def _pick(
    connection: Connection,
    free: Select[tuple[object, ...]],
    runs: Sequence[int] | None,
    taken: set[tuple[int, str]],
    n: int,
) -> list[Task]:
    # A picture has a handful of kinds at most, and nobody gets it under two of them.
    most = (n + len(taken)) * len(Kind)
    if runs is None:
        rows = connection.execute(_costly_first(free).limit(most)).all()
    else:
        # Run by run, so that each look goes down one index.
        each = [connection.execute(_costly_first(free.where(_t.run_seq == one)).limit(most)).all() for one in runs]
        rows = sorted((row for found in each for row in found), key=lambda row: (-row.cost, -row.id))
    picked: list[Task] = []
    for row in rows:
        place = (row.run_seq, row.image_id)
        if place not in taken and len(picked) < n:
            taken.add(place)
            picked.append(to_task(row))
    return picked


def _set_lease(connection: Connection, reviewer: str, ids: Sequence[int], until: float, *, bump: Sequence[int]) -> None:
    if not ids:
        return
    told = {"lease_by": reviewer, "lease_until": finite(until, "lease")}
    connection.execute(update(review_task).where(_t.id.in_(ids)).values(**told))
    if bump:
        connection.execute(update(review_task).where(_t.id.in_(bump)).values(revision=_t.revision + 1))


def release(connection: Connection, reviewer: str) -> None:
    connection.execute(update(review_task).where(HELD, _t.lease_by == reviewer).values(lease_by=None, lease_until=None))


def waiting_runs(connection: Connection, only: Filter) -> list[int]:
    """Runs that have open tasks of this kind and code."""
    table = review_progress.c
    query = select(table.run_seq).where(table.total > table.done).distinct()
    if only.kind is not None:
        query = query.where(table.kind == str(only.kind))
    if only.code is not None:
        query = query.where(table.code == only.code)
    return list(connection.execute(query.order_by(table.run_seq)).scalars())


def page(connection: Connection, runs: Sequence[int] | None, *, only: Filter, after: int, limit: int) -> list[Task]:
    query = _query().where(_t.id > after, _in(runs), _matches(only)).order_by(_t.id).limit(limit)
    return [to_task(row) for row in connection.execute(query)]


def by_id(connection: Connection, ids: Iterable[int]) -> dict[int, Task]:
    found: dict[int, Task] = {}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _PAGE):
        rows = connection.execute(_query().where(_t.id.in_(wanted[start : start + _PAGE])))
        found |= {row.id: to_task(row) for row in rows}
    return found


def of_picture(connection: Connection, run_seq: int, image_id: str) -> list[Task]:
    # Sorted here: asked to, SQLite walks all of the run's tasks in that order rather than look these up.
    rows = connection.execute(_query().where(_t.run_seq == run_seq, _t.image_id == image_id))
    return sorted(map(to_task, rows), key=lambda one: one.id)


def set_states(connection: Connection, changes: Sequence[Task]) -> None:
    """Write state, revision and lease of these tasks."""
    if changes:
        connection.execute(
            update(review_task)
            .where(_t.id == bindparam("task_id"))
            .values(
                state=bindparam("new_state"),
                revision=bindparam("new_revision"),
                lease_by=bindparam("new_holder"),
                lease_until=bindparam("new_until"),
            ),
            [
                {
                    "task_id": one.id,
                    "new_state": str(one.state),
                    "new_revision": one.revision,
                    "new_holder": one.lease_by,
                    "new_until": one.lease_until,
                }
                for one in changes
            ],
        )


def progress(connection: Connection, run_seq: int | None) -> list[Progress]:
    table = review_progress.c
    query = select(table.kind, table.code, table.total, table.done).where(table.total > 0)
    if run_seq is not None:
        query = query.where(table.run_seq == run_seq)
    counts: dict[Change, list[int]] = {}
    for row in connection.execute(query.order_by(table.kind, table.code)):
        pair = counts.setdefault((row.kind, row.code), [0, 0])
        pair[0] += row.total
        pair[1] += row.done
    return [Progress(Kind(kind), code, total, done) for (kind, code), (total, done) in counts.items()]


def problems(connection: Connection) -> list[str]:
    """Counts that are not those of the tasks, and done tasks that nobody's standing answer closed."""
    table = review_progress.c
    alive = _t.state != str(State.CANCELLED)
    counted = select(
        _t.run_seq, _t.kind, _t.code, func.count(), func.sum(case((_t.state == str(State.DONE), 1), else_=0))
    )
    counted = counted.where(alive).group_by(_t.run_seq, _t.kind, _t.code)
    stored = select(table.run_seq, table.kind, table.code, table.total, table.done).where(table.total > 0)
    real = {tuple(row) for row in connection.execute(counted)}
    kept = {tuple(row) for row in connection.execute(stored)}
    said = exists().where(review_decision.c.task_id == _t.id, STANDS, review_decision.c.choice != str(Choice.SKIP))
    unsaid = connection.execute(select(func.count()).where(_t.state == str(State.DONE), ~said)).scalar_one()
    found = [f"review counts differ from the tasks: {row}" for row in sorted(map(str, real ^ kept))[:5]]
    return found + (
        [f"{several(unsaid, 'review task is', 'review tasks are')} done without a standing answer"] if unsaid else []
    )


def to_task(row: Row[tuple[object, ...]]) -> Task:
    return Task(
        image_id=row.image_id,
        kind=Kind(row.kind),
        stratum=row.stratum,
        inclusion_p=row.inclusion_p,
        cost=row.cost,
        code=row.code,
        relpath=row.relpath,
        file_sha256=row.file_sha256,
        source_id=row.source_id,
        id=row.id,
        run_id=row.run_name,
        state=State(row.state),
        revision=row.revision,
        lease_by=row.lease_by,
        lease_until=row.lease_until,
    )


def _query() -> Select[tuple[object, ...]]:
    return select(review_task, run.c.id.label("run_name")).join(run, run.c.seq == _t.run_seq)


def _costly_first(query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    return query.order_by(_t.cost.desc(), _t.id.desc())


def _in(runs: Sequence[int] | None) -> ColumnElement[bool]:
    if runs is None:
        return true()
    return _t.run_seq == runs[0] if len(runs) == 1 else _t.run_seq.in_(runs)


def _matches(only: Filter) -> ColumnElement[bool]:
    wanted = [
        (_t.kind, only.kind),
        (_t.code, only.code),
        (_t.stratum, only.stratum),
        (_t.state, only.state),
    ]
    return and_(true(), *(column == str(value) for column, value in wanted if value is not None))


def _known(connection: Connection, run_seq: int, image_ids: Sequence[str]) -> dict[tuple[str, Kind], Task]:
    rows = connection.execute(_query().where(_t.run_seq == run_seq, _t.image_id.in_(image_ids)))
    return {(task.image_id, task.kind): task for task in map(to_task, rows)}


def _draft_row(run_seq: int, one: TaskDraft) -> dict[str, object]:
    return {
        "run_seq": run_seq,
        "image_id": one.image_id,
        "kind": str(one.kind),
        "stratum": one.stratum,
        "inclusion_p": finite(one.inclusion_p, "inclusion_p"),
        "cost": finite(one.cost, "cost"),
        "code": one.code,
        "relpath": one.relpath,
        "file_sha256": one.file_sha256,
        "source_id": one.source_id,
        "state": str(State.OPEN),
        "revision": 0,
        "lease_by": None,
        "lease_until": None,
    }
