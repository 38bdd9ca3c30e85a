"""Routes that are shut by default: session and role are asked for on the router's own match, not on the URL's text."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qcgen.core.errors import QcgenError
from qcgen.core.review import Role, User
from qcgen.review.problem import NO_SESSION, WRONG_ROLE, RefusedError, answer_problem, translate

DECIDES = frozenset({Role.REVIEWER, Role.ADJUDICATOR})
SETTLES = frozenset({Role.ADJUDICATOR})
READS = frozenset({Role.MANAGER})
EVERYBODY = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. `alone` is the one local user of a desk without named users, who is his own manager."""

    user: User
    alone: bool = False

    @property
    def name(self) -> str:
        return self.user.name

    def may(self, roles: frozenset[Role]) -> bool:
        return self.user.role in roles or (self.alone and Role.MANAGER in roles)


Shut = Callable[[Request, Visitor], Awaitable[Response]]
Open = Callable[[Request], Awaitable[Response]]
FindVisitor = Callable[[Request], Awaitable[Visitor | None]]


class TaskId(Convertor[int]):
    """Positive numbers that fit the database's integers; longer ones are no address of ours."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", TaskId())


def shut(
    path: str,
    endpoint: Shut,
    *,
    find: FindVisitor,
    method: str = "GET",
    roles: frozenset[Role] = EVERYBODY,
    stranger: Open | None = None,
) -> Route:
    """A route for people with a session and one of the roles; `stranger` answers those without one."""

    async def guarded(request: Request) -> Response:
        visitor = await find(request)
        if visitor is None:
            return await stranger(request) if stranger else answer_problem(NO_SESSION)
        if not visitor.may(roles):
            return answer_problem(WRONG_ROLE)
        return await _refused_politely(endpoint(request, visitor))

    return Route(path, guarded, methods=[method])


def unlocked(path: str, endpoint: Open, *, method: str = "GET") -> Route:
    """A route for everybody; there are few, and a test counts them."""

    async def polite(request: Request) -> Response:
        return await _refused_politely(endpoint(request))

    return Route(path, polite, methods=[method])


async def _refused_politely(answer: Awaitable[Response]) -> Response:
    try:
        return await answer
    except RefusedError as refusal:
        return answer_problem(refusal.problem)
    except QcgenError as error:
        return answer_problem(translate(error))
