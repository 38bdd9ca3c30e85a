"""The pages that scripts fill, and the bar that all of them have."""

import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from qcgen.core.reasoncodes import REASONS
from qcgen.review import pages
from qcgen.review.door import DECIDES, READS, SETTLES, Visitor
from qcgen.review.lenses import LENSES


@dataclass(frozen=True, slots=True)
class Screens:
    """`title` stands at the top; `named` says that people log in with a name."""

    title: str
    named: bool

    async def login(self, request: Request) -> Response:
        return pages.show(pages.LOGIN, {"named": self.named})

    async def stranger(self, request: Request) -> Response:
        return pages.show(pages.LOGIN, {"named": self.named}, status=401)

    async def home(self, request: Request, visitor: Visitor) -> Response:
        if not visitor.may(DECIDES):
            return Response(status_code=303, headers={"location": "/statistics"})
        return self._desk(visitor, "desk")

    async def disputes(self, request: Request, visitor: Visitor) -> Response:
        return self._desk(visitor, "disputes")

    async def grid(self, request: Request, visitor: Visitor) -> Response:
        return pages.show(pages.GRID, {**bar_facts(self.title, visitor), "reasons": _reasons()})

    def _desk(self, visitor: Visitor, mode: str) -> Response:
        lenses = json.dumps([one.name for one in LENSES])
        facts = bar_facts(self.title, visitor)
        return pages.show(pages.DESK, {**facts, "mode": mode, "reasons": _reasons(), "lenses": lenses})


def bar_facts(title: str, visitor: Visitor) -> dict[str, object]:
    """What the bar at the top of a page shows, and to which pages it leads."""
    return {
        "title": title,
        "visitor": visitor.name,
        "decides": visitor.may(DECIDES),
        "settles": visitor.may(SETTLES),
        "statistics": visitor.may(READS),
    }


def _reasons() -> str:
    listed = [{"digit": one.digit, "code": one.code, "name": one.name, "definition": one.definition} for one in REASONS]
    return json.dumps(listed)
