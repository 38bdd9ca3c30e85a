"""The managers' screen: how far the work is, and how far it can be trusted."""

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qcgen.review import pages
from qcgen.review.desk import Desk
from qcgen.review.door import Visitor
from qcgen.review.screens import bar_facts


@dataclass(frozen=True, slots=True)
class Statistics:
    desk: Desk
    title: str

    async def page(self, request: Request, visitor: Visitor) -> Response:
        facts = await run_in_threadpool(lambda: {**bar_facts(self.title, visitor), **self._facts()})
        return pages.show(pages.STATISTICS, facts)

    def _facts(self) -> dict[str, object]:
        return {}
