"""The app: which address does what, for whom. What is not listed here does not exist; what is listed is shut unless it
says otherwise."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from qcgen.core.reasoncodes import REASONS
from qcgen.core.store import Store
from qcgen.review import pages
from qcgen.review.bulk import BulkWork
from qcgen.review.desk import Desk
from qcgen.review.door import DECIDES, READS, SETTLES, Visitor, shut, unlocked
from qcgen.review.lenses import LENSES
from qcgen.review.login import Accounts
from qcgen.review.pictures import Pictures
from qcgen.review.problem import UNKNOWN, Problem, answer_problem
from qcgen.review.reasons import Reasons
from qcgen.review.sessions import Tickets
from qcgen.review.shield import NO_METHOD, Hosts, Shield
from qcgen.review.statistics import Statistics
from qcgen.review.work import Work

FAILED = Problem(500, "failed", "The server could not do this; nothing was stored.")


@dataclass(frozen=True, slots=True)
class Setting:
    """How one start of the app was asked for.

    Attributes:
        run_id: the run to review; None for all.
        title: what stands at the top of the pages.
        local: the one user of a desk without named users, None where there are named ones.
        cookie: the session cookie's name.
    """

    run_id: str | None
    title: str
    hosts: Hosts
    local: str | None
    cookie: str = "qcgen_review"


def make_app(setting: Setting, *, store: Store, links: Tickets) -> ASGIApp:
    """The whole app as ASGI; leases are given back when it stops."""
    desk = Desk(store, setting.run_id)
    accounts = Accounts(store.review, setting.local, setting.cookie, links)

    @asynccontextmanager
    async def released_at_the_end(_: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desk.release_all)

    app = Starlette(
        routes=make_routes(setting, desk, accounts),
        exception_handlers={HTTPException: _http_problem, Exception: _unexpected},
        lifespan=released_at_the_end,
    )
    router: Router = app.router
    router.redirect_slashes = False
    return Shield(app, setting.hosts)


def make_routes(setting: Setting, desk: Desk, accounts: Accounts) -> list[Route]:
    """All addresses."""
    shown = Screens(setting)
    work, bulk, pictures = Work(desk), BulkWork(desk), Pictures(desk)
    reasons, statistics = Reasons(desk), Statistics(desk, setting.title)

    door = partial(shut, find=accounts.find)
    return [
        unlocked("/login", shown.login),
        unlocked("/api/login", accounts.log_in, method="POST"),
        unlocked("/api/alive", alive),
        unlocked("/favicon.ico", no_icon),
        door("/", shown.home, stranger=shown.stranger),
        door("/grid", shown.grid, stranger=shown.stranger, roles=DECIDES),
        door("/disputes", shown.disputes, stranger=shown.stranger, roles=SETTLES),
        door("/statistics", statistics.page, stranger=shown.stranger, roles=READS),
        door("/api/logout", accounts.log_out, method="POST"),
        door("/api/next", work.next, method="POST", roles=DECIDES),
        door("/api/decide", work.decide, method="POST", roles=DECIDES),
        door("/api/undo", work.undo, method="POST", roles=DECIDES),
        door("/api/release", work.release, method="POST"),
        door("/api/progress", work.progress),
        door("/api/groups", bulk.groups, roles=DECIDES),
        door("/api/group", bulk.page, method="POST", roles=DECIDES),
        door("/api/bulk", bulk.decide, method="POST", roles=DECIDES),
        door("/api/reasons", reasons.listed),
        door("/api/tasks/{task:id}/picture", pictures.picture),
        door("/api/tasks/{task:id}/thumbnail", pictures.thumbnail),
        door("/api/tasks/{task:id}/siblings", pictures.siblings),
        door("/api/tasks/{task:id}/siblings/{number:id}", pictures.sibling),
        door("/api/tasks/{task:id}/lenses/{number:id}", pictures.lens),
    ]


@dataclass(frozen=True, slots=True)
class Screens:
    """The pages that scripts fill."""

    setting: Setting

    async def login(self, request: Request) -> Response:
        return pages.show(pages.LOGIN, {"named": self.setting.local is None})

    async def stranger(self, request: Request) -> Response:
        return pages.show(pages.LOGIN, {"named": self.setting.local is None}, status=401)

    async def home(self, request: Request, visitor: Visitor) -> Response:
        if not visitor.may(DECIDES):
            return Response(status_code=303, headers={"location": "/statistics"})
        return self._desk(visitor, "desk")

    async def disputes(self, request: Request, visitor: Visitor) -> Response:
        return self._desk(visitor, "disputes")

    async def grid(self, request: Request, visitor: Visitor) -> Response:
        return pages.show(pages.GRID, {**bar_facts(self.setting.title, visitor), "reasons": _reasons()})

    def _desk(self, visitor: Visitor, mode: str) -> Response:
        lenses = json.dumps([one.name for one in LENSES])
        facts = bar_facts(self.setting.title, visitor)
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


async def alive(request: Request) -> Response:
    return JSONResponse({"ok": True})


async def no_icon(request: Request) -> Response:
    return Response(status_code=204)


def _reasons() -> str:
    listed = [{"digit": one.digit, "code": one.code, "name": one.name, "definition": one.definition} for one in REASONS]
    return json.dumps(listed)


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return answer_problem({404: UNKNOWN, 405: NO_METHOD}.get(status, FAILED))


async def _unexpected(request: Request, error: Exception) -> Response:
    return answer_problem(FAILED)
