"""The review queue as a table for a spreadsheet, and the filled-in table back as answers.

Seeds are left out: a list of files shows what they are.
"""

from collections.abc import Iterator, Mapping, Sequence

from qcgen.core.errors import SpecError
from qcgen.core.review import Answer, Choice, Decision, Filter, Kind, ReviewStore, State, Task
from qcgen.core.wording import Problems, cure_of, show

COLUMNS = ("task_id", "revision", "image_id", "image_sha256", "decision", "code", "note", "stratum", "relpath")
UI = "spreadsheet, offline"
_FIRST = (Kind.FLAGGED, Kind.AUDIT, Kind.DOUBLE, Kind.DISPUTE)


def open_rows(desk: ReviewStore, run_id: str) -> list[Sequence[str | int]]:
    """One row for each picture that waits, most costly first; what the checks found stays unsaid."""
    return [
        (one.id, one.revision, one.image_id, one.file_sha256, "", "", "", one.stratum, one.relpath)
        for one in sorted(_open(desk, run_id).values(), key=lambda one: (-one.cost, one.id))
    ]


def import_rows(
    desk: ReviewStore, run_id: str, name: str, columns: Mapping[str, Sequence[str]], *, reviewer: str
) -> Sequence[Decision]:
    """Store the rows that have a decision, all or none, as answers of one person: not blind, and marked offline.

    A row names its task, or by its picture alone the task that waits for it.

    Raises:
        SpecError: a column is missing, a cell says something else, or nobody of that name reviews here; lists all.
        ConflictError: a task has changed since it was exported.
    """
    people = [one.name for one in desk.users()]
    if people and reviewer not in people:
        cure = cure_of(reviewer, people, beside=", or qcgen users add")
        raise SpecError(f"--as: there is no person {show(reviewer)}. {cure}")
    lacking = [one for one in ("image_id", "decision") if one not in columns]
    if lacking:
        raise SpecError(f"{name}: lacks the column {', '.join(lacking)}. Cure: the columns of qcgen reviews export.")
    waiting = _open(desk, run_id)
    answers: list[Answer] = []
    problems = Problems()
    for number, row in enumerate(_rows(columns), start=2):
        if row["decision"]:
            _read_row(f"{name}:{number}", row, desk, run_id, waiting, answers, problems)
    problems.stop_if_any()
    return desk.decide(reviewer, answers) if answers else ()


def _read_row(
    where: str,
    row: Mapping[str, str],
    desk: ReviewStore,
    run_id: str,
    waiting: Mapping[str, Task],
    answers: list[Answer],
    problems: Problems,
) -> None:
    choices = [str(one) for one in Choice]
    if row["decision"] not in choices:
        known = ", ".join(choices)
        problems.add(
            "decisions", f"{where} decision: must be one of {known} (got {show(row['decision'])}). Cure: one of these."
        )
        return
    number = row["task_id"]
    task = desk.task(int(number)) if number.isdecimal() and len(number) < 19 else waiting.get(row["image_id"])
    if task is None or task.run_id != run_id or task.image_id != row["image_id"]:
        rule = f"nothing waits for this picture (got {show(row['image_id'])})"
        problems.add("pictures", f"{where} image_id: {rule}. Cure: export anew.")
        return
    revision = int(row["revision"]) if row["revision"].isdecimal() and len(row["revision"]) < 19 else task.revision
    answers.append(
        Answer(
            task_id=task.id,
            revision=revision,
            image_sha256=row["image_sha256"] or task.file_sha256,
            choice=Choice(row["decision"]),
            code=row["code"] or row["reason"],
            note=row["note"],
            ui=UI,
        )
    )


def _rows(columns: Mapping[str, Sequence[str]]) -> Iterator[Mapping[str, str]]:
    n = len(columns["image_id"])
    empty = [""] * n
    names = (*COLUMNS, "reason")
    for cells in zip(*(columns.get(one, empty) for one in names), strict=True):
        yield dict(zip(names, cells, strict=True))


def _open(desk: ReviewStore, run_id: str) -> Mapping[str, Task]:
    """The task of each picture that waits; of several, the first look."""
    found: dict[str, Task] = {}
    after = 0
    while page := desk.tasks(run_id, only=Filter(state=State.OPEN), after=after, limit=2_000):
        for one in page:
            other = found.get(one.image_id)
            if one.kind in _FIRST and (other is None or _FIRST.index(one.kind) < _FIRST.index(other.kind)):
                found[one.image_id] = one
        after = page[-1].id
    return found
