"""Refusals as one JSON object: a code for programs, a sentence for people, never a word of what was sent."""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from qcgen.core.errors import IntegrityError, PausedError, QcgenError, SpecError
from qcgen.core.review import ConflictError


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused; `message` is a fixed sentence."""

    status: int
    code: str
    message: str


class RefusedError(Exception):
    """What an endpoint raises to refuse."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


UNKNOWN = Problem(404, "unknown", "There is nothing here.")
MALFORMED = Problem(422, "malformed", "The request does not have the form that this address asks for.")
NO_SESSION = Problem(401, "no_session", "Log in first.")
WRONG_ROLE = Problem(403, "wrong_role", "Your role may not do this.")
CHANGED_FILE = Problem(409, "changed_file", "The file is no longer the one that was to be looked at.")

_KNOWN: tuple[tuple[type[QcgenError], Problem], ...] = (
    (ConflictError, Problem(409, "conflict", "Somebody else changed this picture's task; nothing was stored.")),
    (SpecError, Problem(422, "refused", "Refused: a reject needs a reason, and the reason other needs a note.")),
    (PausedError, Problem(503, "paused", "The database is busy or its disk is full; nothing was stored.")),
    (IntegrityError, Problem(500, "integrity", "The database contradicts itself. Cure: qcgen db check.")),
)


def answer_problem(problem: Problem, *, headers: dict[str, str] | None = None) -> Response:
    body = {"error": problem.code, "message": problem.message}
    return JSONResponse(body, status_code=problem.status, headers=headers)


def translate(error: QcgenError) -> Problem:
    """The refusal that an error of ours becomes; its own words stay on the server, for they may quote the request."""
    for kind, problem in _KNOWN:
        if isinstance(error, kind):
            return problem
    return Problem(500, "failed", "The server could not do this; nothing was stored.")
