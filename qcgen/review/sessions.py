"""One-time login links and the local user's sessions, in memory: only digests of the secrets are kept."""

import hashlib
import secrets
import time
from collections.abc import Callable
from threading import Lock

LIFETIME_S = 12 * 3600.0
_MOST = 1_000


class Tickets:
    """Secrets that run out, each for one name; safe to use from several threads.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}
        self._lock = Lock()

    def issue(self, name: str) -> str:
        secret = new_secret()
        with self._lock:
            now = self._clock()
            self._kept = {key: one for key, one in self._kept.items() if one[1] > now}
            if len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[digest(secret)] = (name, now + LIFETIME_S)
        return secret

    def name_of(self, secret: str) -> str | None:
        with self._lock:
            return self._valid(self._kept.get(digest(secret)))

    def take(self, secret: str) -> str | None:
        """Whose it is, once; afterwards it is nobody's."""
        with self._lock:
            return self._valid(self._kept.pop(digest(secret), None))

    def _valid(self, one: tuple[str, float] | None) -> str | None:
        return one[0] if one is not None and one[1] > self._clock() else None


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
