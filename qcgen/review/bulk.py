"""The grid of one reason or one product, and one answer to many of its pictures."""

import time
import uuid
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qcgen.core.review import Answer, Filter, Kind, State, Task
from qcgen.review.desk import UI, Desk, Json
from qcgen.review.door import Visitor
from qcgen.review.problem import Problem, RefusedError
from qcgen.review.sent import TYPED_ABOVE, Bulk, Group, read_sent

PAGE = 100

NOT_TYPED = Problem(422, "not_typed", f"More than {TYPED_ABOVE} pictures: type their number to confirm.")
MIXED = Problem(422, "mixed", "A bulk takes flagged pictures of one reason or one product, and nothing else.")


@dataclass(frozen=True, slots=True)
class BulkWork:
    desk: Desk

    async def groups(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(await run_in_threadpool(self._groups))

    async def page(self, request: Request, visitor: Visitor) -> Response:
        sent = await read_sent(request, Group)
        return JSONResponse(await run_in_threadpool(self._page, sent, visitor))

    async def decide(self, request: Request, visitor: Visitor) -> Response:
        sent = await read_sent(request, Bulk)
        return JSONResponse(await run_in_threadpool(self._decide, sent, visitor))

    def _groups(self) -> Json:
        counts = self.desk.reviews.progress(self.desk.run_id)
        flagged = [one for one in counts if one.kind is Kind.FLAGGED and one.total > one.done]
        return {"groups": [{"code": one.code, "open": one.total - one.done} for one in flagged]}

    def _page(self, sent: Group, visitor: Visitor) -> Json:
        only = Filter(kind=Kind.FLAGGED, code=sent.code, state=State.OPEN)
        found = self.desk.reviews.tasks(self.desk.run_id, only=only, after=sent.after, limit=PAGE)
        now = time.time()
        cells = [self._cell(task, visitor) for task in found if not _is_held(task, visitor, now)]
        return {"cells": cells, "after": found[-1].id if len(found) == PAGE else None}

    def _cell(self, task: Task, visitor: Visitor) -> Json:
        row = self.desk.row(task)
        findings = [one.message for one in row.reasons] if row else []
        view = self.desk.view(task, visitor.name, blind=False)
        return {**view, "code": task.code, "stratum": task.stratum, "why": findings}

    def _decide(self, sent: Bulk, visitor: Visitor) -> Json:
        if len(sent.tasks) > TYPED_ABOVE and sent.typed != len(sent.tasks):
            raise RefusedError(NOT_TYPED)
        tasks = [self.desk.task(each.task) for each in sent.tasks]
        if not _is_one_group(tasks):
            raise RefusedError(MIXED)
        bulk_id = uuid.uuid4().hex
        answers = [
            Answer(
                task_id=seen.task,
                revision=seen.revision,
                image_sha256=seen.sha256,
                choice=sent.choice,
                code=sent.code,
                note=sent.note,
                dwell_ms=sent.dwell_ms // len(sent.tasks),
                blind=False,
                bulk_id=bulk_id,
                ui=UI,
            )
            for seen in sent.tasks
        ]
        return {"ok": True, "count": len(self.desk.reviews.decide(visitor.name, answers))}


def _is_held(task: Task, visitor: Visitor, now: float) -> bool:
    """Whether somebody else has it on the screen."""
    return task.lease_by not in (None, visitor.name) and (task.lease_until or 0.0) > now


def _is_one_group(tasks: list[Task]) -> bool:
    """Audits, seeds, second looks and disputes are there to be looked at one by one."""
    if len({task.id for task in tasks}) != len(tasks) or any(task.kind is not Kind.FLAGGED for task in tasks):
        return False
    return len({task.code for task in tasks}) == 1 or len({task.stratum for task in tasks}) == 1
