"""Pictures by number: a task's own, those to compare with, maps, thumbnails. No address names a file."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qcgen.core.review import Task
from qcgen.review.desk import Desk
from qcgen.review.door import Visitor
from qcgen.review.files import media_type
from qcgen.review.lenses import draw_lens, make_thumbnail

# A task's file never changes: its address may be kept for the length of a shift, in this browser alone.
_KEEP = {"cache-control": "private, max-age=3600, immutable"}


@dataclass(frozen=True, slots=True)
class Pictures:
    desk: Desk

    async def picture(self, request: Request, visitor: Visitor) -> Response:
        return await self._send(request, self.desk.picture)

    async def sibling(self, request: Request, visitor: Visitor) -> Response:
        number = request.path_params["number"]
        return await self._send(request, lambda task: self.desk.sibling_picture(task, number))

    async def thumbnail(self, request: Request, visitor: Visitor) -> Response:
        return await self._send(request, self._small)

    async def siblings(self, request: Request, visitor: Visitor) -> Response:
        found = await run_in_threadpool(lambda: self.desk.siblings(self.desk.task(request.path_params["task"])))
        labels = ["Another try at this picture" if one.is_attempt else "Accepted, same product" for one in found]
        return JSONResponse({"labels": labels})

    async def lens(self, request: Request, visitor: Visitor) -> Response:
        task_id, number = request.path_params["task"], request.path_params["number"]

        def draw() -> tuple[bytes, str]:
            return draw_lens(self.desk.picture(self.desk.task(task_id)), number)

        data, says = await run_in_threadpool(draw)
        return Response(data, media_type="image/png", headers={**_KEEP, "x-says": quote(says)})

    async def evidence(self, request: Request, visitor: Visitor) -> Response:
        task_id, number = request.path_params["task"], request.path_params["number"]

        def read() -> tuple[bytes, str]:
            return self.desk.evidence(self.desk.task(task_id), number, visitor.name)

        data, says = await run_in_threadpool(read)
        return Response(data, media_type=media_type(data), headers={**_KEEP, "x-says": quote(says)})

    async def _send(self, request: Request, read: Callable[[Task], bytes]) -> Response:
        task_id = request.path_params["task"]
        data = await run_in_threadpool(lambda: read(self.desk.task(task_id)))
        return Response(data, media_type=media_type(data), headers=_KEEP)

    def _small(self, task: Task) -> bytes:
        row = self.desk.row(task) if task.source_id is None else None
        return row.thumbnail if row and row.thumbnail else make_thumbnail(self.desk.picture(task))
