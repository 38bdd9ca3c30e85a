"""Logging in: by the one-time link where nobody is named, by name and password in a team."""

import math
from dataclasses import dataclass, field
from functools import cache

from anyio import CapacityLimiter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qcgen.core.passwords import check_password, hash_password
from qcgen.core.review import ReviewStore, Role, User
from qcgen.review.door import Visitor
from qcgen.review.problem import MALFORMED, Problem, RefusedError, answer_problem
from qcgen.review.sent import Login, read_sent
from qcgen.review.sessions import LIFETIME_S, Tickets, digest, new_secret
from qcgen.review.throttle import Throttle

USED_LINK = Problem(
    401, "used_link", "This link was used or has run out. Cure: start qcgen review again for a new one."
)
WRONG_PASSWORD = Problem(401, "wrong_password", "Name or password is wrong.")
WAIT = Problem(429, "wait", "Too many tries. Wait a minute, then try again.")


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who may come in. Sessions of named users live in the database, those of the local one end with the server.

    Attributes:
        local: the one user of a desk without named users, None where there are named ones.
        cookie: its name; browsers share cookies between the ports of a machine.
        links: one-time login links.
    """

    reviews: ReviewStore
    local: str | None
    cookie: str
    links: Tickets
    at_home: Tickets = field(default_factory=Tickets)
    throttle: Throttle = field(default_factory=Throttle)
    # A hash takes 16 MiB and 50 ms: two at a time, however many knock.
    hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))

    async def find(self, request: Request) -> Visitor | None:
        """Who the request's cookie belongs to; a user who was switched off is nobody at once."""
        secret = request.cookies.get(self.cookie)
        if not secret:
            return None
        if self.local is not None:
            name = self.at_home.name_of(secret)
            return None if name is None else Visitor(User(name, Role.REVIEWER, None), alone=True)
        user = await run_in_threadpool(self.reviews.session, digest(secret))
        return Visitor(user) if user else None

    async def log_in(self, request: Request) -> Response:
        sent = await read_sent(request, Login)
        if sent.ticket is not None and sent.name is None and sent.password is None:
            name = self.links.take(sent.ticket)
            return self._welcome(self.at_home.issue(name)) if name is not None else answer_problem(USED_LINK)
        if sent.ticket is not None or sent.name is None or sent.password is None:
            raise RefusedError(MALFORMED)
        address = request.client.host if request.client else ""
        wait_s = self.throttle.wait_s(sent.name, address)
        if wait_s > 0:
            return answer_problem(WAIT, headers={"retry-after": str(math.ceil(wait_s))})
        return await self._check(sent.name, sent.password, address)

    async def log_out(self, request: Request, visitor: Visitor) -> Response:
        secret = request.cookies.get(self.cookie, "")
        self.at_home.take(secret)
        await run_in_threadpool(self.reviews.end_session, digest(secret))
        await run_in_threadpool(self.reviews.release, visitor.name)
        answer = JSONResponse({"ok": True})
        answer.delete_cookie(self.cookie, httponly=True, samesite="strict")
        return answer

    async def _check(self, name: str, password: str, address: str) -> Response:
        user = await run_in_threadpool(self._user, name)
        stored = user.password if user is not None else None
        async with self.hashing:
            # An unknown name costs as much time as a wrong password.
            right = await run_in_threadpool(check_password, password, stored or _nobody())
        if stored is None or not right:
            return answer_problem(WRONG_PASSWORD)
        self.throttle.forgive(name, address)
        secret = new_secret()
        await run_in_threadpool(lambda: self.reviews.add_session(digest(secret), name, seconds=LIFETIME_S))
        return self._welcome(secret)

    def _user(self, name: str) -> User | None:
        return next((one for one in self.reviews.users() if one.name == name and one.active), None)

    def _welcome(self, secret: str) -> Response:
        answer = JSONResponse({"ok": True})
        answer.set_cookie(self.cookie, secret, max_age=int(LIFETIME_S), httponly=True, samesite="strict")
        return answer


@cache
def _nobody() -> str:
    return hash_password("nobody has this password")
