"""What the endpoints share: the stores, the files, and who has seen which findings."""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock

from qcgen.core.evidence import EVIDENCE, Shown, evidence_of
from qcgen.core.review import Kind, ReviewStore, State, Task
from qcgen.core.store import Store
from qcgen.core.types import Row, RunInfo
from qcgen.review.files import Files, read_below
from qcgen.review.lenses import LENS_OF_FINDING
from qcgen.review.problem import UNKNOWN, RefusedError
from qcgen.review.siblings import Sibling, Siblings

LEASE_S = 600.0
ROWS_S = 60.0
MOST_ROWS = 4_000
UI = "qcgen-review/1"

Json = Mapping[str, object]


class Desk:
    """One start of the app over one database.

    Args:
        run_id: the run to review; None for all runs.
    """

    def __init__(self, store: Store, run_id: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[tuple[str, str], tuple[float, Row]] = {}
        self.store, self.run_id = store, run_id
        self.reviews: ReviewStore = store.review
        self.files = Files()
        self.holders: set[str] = set()
        """Who may have something leased."""
        self._siblings: dict[str, Siblings] = {}
        self._seen: set[tuple[str, int]] = set()
        self._lock = Lock()
        self._run = lru_cache(maxsize=64)(self._read_run)

    def task(self, task_id: int) -> Task:
        """Raises RefusedError: no such task, or one of another run than this desk's."""
        task = self.reviews.task(task_id)
        if task is None or (self.run_id is not None and task.run_id != self.run_id):
            raise RefusedError(UNKNOWN)
        return task

    def run(self, task: Task) -> RunInfo:
        return self._run(task.run_id)

    def row(self, task: Task) -> Row | None:
        """The stored row, at most a minute old; of a seed, its source's: that is what the prompt asked for."""
        key = (task.run_id, task.source_id or task.image_id)
        now = self._clock()
        with self._lock:
            read_at, row = self._rows.get(key, (0.0, None))
        if row is None or now - read_at >= ROWS_S:
            row = self.reviews.row(*key)
            self._keep(key, now, row)
        return row

    def picture(self, task: Task) -> bytes:
        return self.files.read(Path(self.run(task).out_dir), task.relpath, task.file_sha256)

    def siblings(self, task: Task) -> tuple[Sibling, ...]:
        """Pictures to compare with. A seed never sees its source, which would give it away."""
        row = self.row(task)
        if row is None:
            return ()
        with self._lock:
            known = self._siblings.setdefault(task.run_id, self._make_siblings(task.run_id))
        return known.of(row)

    def sibling_picture(self, task: Task, number: int) -> bytes:
        found = self.siblings(task)
        if not 0 <= number < len(found):
            raise RefusedError(UNKNOWN)
        one = found[number]
        return self.files.read(Path(self.run(task).out_dir), one.relpath, one.file_sha256)

    def view(self, task: Task, viewer: str, *, blind: bool) -> Json:
        """A task as the screen gets it. Blind, nothing in it tells a flagged picture from any other."""
        row = self.row(task)
        shown: dict[str, object] = {
            "id": task.id,
            "revision": task.revision,
            "sha256": task.file_sha256,
            "run": self.run(task).name,
            "sku": row.sku if row else "",
            "prompt": row.prompt if row else "",
            "fields": dict(row.fields) if row else {},
        }
        if task.kind is Kind.FLAGGED and not blind:
            with self._lock:
                self._seen.add((viewer, task.id))
            shown["findings"] = self._findings(task, row)
        return shown

    def evidence(self, task: Task, number: int, viewer: str) -> tuple[bytes, str]:
        """The map of a finding, and how to read it; only for who has been shown the findings.

        Raises:
            RefusedError: not shown yet, or there is no such map.
        """
        told = task.state is State.DONE or not self.is_blind(viewer, task)
        row = self.row(task) if told and task.kind is not Kind.SEED else None
        found = _shown(self._folder(task), row) if row else {}
        one = found.get(row.reasons[number].kind) if row and number < len(row.reasons) else None
        if one is None or one.overlay is None:
            raise RefusedError(UNKNOWN)
        return read_below(self._folder(task), f"{EVIDENCE}/{one.overlay}"), one.says

    def is_blind(self, viewer: str, task: Task) -> bool:
        """Whether this person has not been shown the findings of an open task."""
        with self._lock:
            return (viewer, task.id) not in self._seen

    def reveal(self, task: Task) -> Json:
        """What may be told of a task that is decided: what the checks said. Of a seed, only that they said nothing."""
        row = self.row(task) if task.kind is not Kind.SEED else None
        return {"findings": self._findings(task, row)}

    def release_all(self) -> None:
        """Give back what this start of the app has handed out."""
        for name in sorted(self.holders):
            self.reviews.release(name)

    def _folder(self, task: Task) -> Path:
        return Path(self.run(task).out_dir)

    def _findings(self, task: Task, row: Row | None) -> list[Json]:
        """A row's findings for a person: name, sentence, whether the check has a map, which other map fits."""
        shown = _shown(self._folder(task), row) if row else {}
        return [
            {
                "kind": one.kind,
                "severity": str(one.severity),
                "message": one.message,
                "map": one.kind in shown and shown[one.kind].overlay is not None,
                "lens": LENS_OF_FINDING.get(one.kind),
            }
            for one in (row.reasons if row else ())
        ]

    def _keep(self, key: tuple[str, str], now: float, row: Row | None) -> None:
        with self._lock:
            if len(self._rows) >= MOST_ROWS:
                del self._rows[next(iter(self._rows))]
            if row is not None:
                self._rows[key] = (now, row)

    def _read_run(self, run_id: str) -> RunInfo:
        run = self.store.run(run_id)
        if run is None:
            raise RefusedError(UNKNOWN)
        return run

    def _make_siblings(self, run_id: str) -> Siblings:
        return Siblings(lambda: self.store.rows(run_id, every_attempt=True))


def _shown(folder: Path, row: Row) -> Mapping[str, Shown]:
    record = evidence_of(folder, row)
    return {one.kind: one for one in record.reasons} if record else {}
