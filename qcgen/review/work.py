"""The queue: hand out tasks, take answers, take them back."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qcgen.core.review import Answer, Choice, Decision, Filter, Kind, Task
from qcgen.review.desk import LEASE_S, UI, Desk, Json
from qcgen.review.door import Visitor
from qcgen.review.sent import Next, Said, read_sent


@dataclass(frozen=True, slots=True)
class Work:
    desk: Desk

    async def next(self, request: Request, visitor: Visitor) -> Response:
        sent = await read_sent(request, Next)
        return JSONResponse(await run_in_threadpool(self._next, sent, visitor))

    async def decide(self, request: Request, visitor: Visitor) -> Response:
        sent = await read_sent(request, Said)
        return JSONResponse(await run_in_threadpool(self._decide, sent, visitor))

    async def undo(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(await run_in_threadpool(self._undo, visitor))

    async def release(self, request: Request, visitor: Visitor) -> Response:
        await run_in_threadpool(self.desk.reviews.release, visitor.name)
        return JSONResponse({"ok": True})

    async def progress(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(await run_in_threadpool(self._progress))

    def _next(self, sent: Next, visitor: Visitor) -> Json:
        only = Filter(kind=Kind.DISPUTE) if sent.disputes else Filter()
        self.desk.holders.add(visitor.name)
        tasks = self.desk.reviews.lease_tasks(
            visitor.name, run_id=self.desk.run_id, n=sent.n, seconds=LEASE_S, role=visitor.user.role, only=only
        )
        views = [self.desk.view(task, visitor.name, blind=sent.blind) for task in tasks]
        return {"tasks": views, **self._progress()}

    def _decide(self, sent: Said, visitor: Visitor) -> Json:
        task = self.desk.task(sent.task)
        answer = Answer(
            task_id=task.id,
            revision=sent.revision,
            image_sha256=sent.sha256,
            choice=sent.choice,
            code=sent.code,
            note=sent.note,
            dwell_ms=sent.dwell_ms,
            blind=sent.blind and self.desk.is_blind(visitor.name, task),
            ui=UI,
        )
        self.desk.reviews.decide(visitor.name, [answer])
        if sent.choice is Choice.SKIP:
            return {"ok": True}
        return {"ok": True, **self.desk.reveal(task), **self._earlier(task)}

    def _earlier(self, task: Task) -> Json:
        """Of a dispute, what the two before said; told only now that the third has answered."""
        if task.kind is not Kind.DISPUTE:
            return {}
        said = [_told(one) for one in self.desk.reviews.decisions(task.run_id) if _is_party(one, task)]
        return {"earlier": said}

    def _undo(self, visitor: Visitor) -> Json:
        self.desk.holders.add(visitor.name)
        taken = self.desk.reviews.undo(visitor.name, run_id=self.desk.run_id)
        return {"tasks": self._again([one.answer.task_id for one in taken], visitor), "count": len(taken)}

    def _again(self, task_ids: Sequence[int], visitor: Visitor) -> list[Json]:
        """Of a bulk, no more than a screen holds: the others come with the queue."""
        return [self.desk.view(self.desk.task(each), visitor.name, blind=True) for each in task_ids[:12]]

    def _progress(self) -> Json:
        counts = self.desk.reviews.progress(self.desk.run_id)
        return {"done": sum(one.done for one in counts), "total": sum(one.total for one in counts)}


def _is_party(one: Decision, task: Task) -> bool:
    same = one.image_id == task.image_id and one.answer.task_id != task.id
    return same and not one.withdrawn and one.answer.choice is not Choice.SKIP


def _told(one: Decision) -> Json:
    return {"who": one.reviewer, "choice": str(one.answer.choice), "code": one.answer.code, "note": one.answer.note}
