"""The app: which address does what, for whom. What is not listed here does not exist; what is listed is shut unless it
says otherwise."""

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

from qcgen.core.store import Store
from qcgen.review.bulk import BulkWork
from qcgen.review.desk import Desk
from qcgen.review.door import DECIDES, READS, SETTLES, shut, unlocked
from qcgen.review.login import Accounts
from qcgen.review.pictures import Pictures
from qcgen.review.problem import UNKNOWN, Problem, answer_problem
from qcgen.review.reasons import Reasons
from qcgen.review.screens import Screens
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
    shown = Screens(setting.title, named=setting.local is None)
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
        door("/api/tasks/{task:id}/evidence/{number:id}", pictures.evidence),
    ]


async def alive(request: Request) -> Response:
    return JSONResponse({"ok": True})


async def no_icon(request: Request) -> Response:
    return Response(status_code=204)


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return answer_problem({404: UNKNOWN, 405: NO_METHOD}.get(status, FAILED))


async def _unexpected(request: Request, error: Exception) -> Response:
    return answer_problem(FAILED)
