"""What each reason means, with pictures that lately got it."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from qcgen.core.reasoncodes import REASONS
from qcgen.core.review import Choice, Kind
from qcgen.review.desk import Desk
from qcgen.review.door import Visitor

EXAMPLES = 4
REFRESH_S = 60.0


@dataclass(slots=True)
class Reasons:
    """Examples are looked up at most once a minute. Never a seed: whoever saw it here would know it again."""

    desk: Desk
    _found: Mapping[str, list[int]] = field(default_factory=dict)
    _found_at: float | None = None
    _lock: Lock = field(default_factory=Lock)

    async def listed(self, request: Request, visitor: Visitor) -> Response:
        examples = await run_in_threadpool(self._examples)
        reasons = [
            {
                "digit": one.digit,
                "code": one.code,
                "name": one.name,
                "definition": one.definition,
                "examples": examples.get(one.code, []),
            }
            for one in REASONS
        ]
        return JSONResponse({"reasons": reasons})

    def _examples(self) -> Mapping[str, list[int]]:
        with self._lock:
            if self._found_at is None or time.monotonic() - self._found_at > REFRESH_S:
                self._found, self._found_at = self._look(), time.monotonic()
            return self._found

    def _look(self) -> dict[str, list[int]]:
        newest: dict[str, deque[int]] = {}
        for one in self.desk.reviews.decisions(self.desk.run_id):
            if one.kind is Kind.FLAGGED and one.answer.choice is Choice.REJECT and not one.withdrawn:
                newest.setdefault(one.answer.code, deque(maxlen=EXAMPLES)).append(one.answer.task_id)
        return {code: list(ids) for code, ids in newest.items()}
