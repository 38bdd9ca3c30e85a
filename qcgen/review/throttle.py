"""How often a wrong password may be tried: by name and by address, in a sliding minute."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

PER_NAME = 5
PER_ADDRESS = 20
WINDOW_S = 60.0
_MOST = 10_000


class Throttle:
    """Counts tries. A right password does not count: behind a proxy a whole team comes from one address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: dict[tuple[str, str], deque[float]] = {}
        self._lock = Lock()

    def wait_s(self, name: str, address: str) -> float:
        """Seconds until another try is allowed; 0 allows this one and counts it."""
        now = self._clock()
        with self._lock:
            own, from_there = self._recent("name", name, now), self._recent("address", address, now)
            waits = [tries[0] + WINDOW_S - now for tries, most in ((own, PER_NAME), (from_there, PER_ADDRESS))
                     if len(tries) >= most]  # fmt: skip
            if waits:
                return max(waits)
            own.append(now)
            from_there.append(now)
            return 0.0

    def forgive(self, name: str, address: str) -> None:
        """Forget the name's tries, and the newest one from this address."""
        with self._lock:
            self._tries.pop(("name", name), None)
            tries = self._tries.get(("address", address))
            if tries:
                tries.pop()

    def _recent(self, kind: str, value: str, now: float) -> deque[float]:
        if len(self._tries) > _MOST:
            self._tries = {key: tries for key, tries in self._tries.items() if tries and tries[-1] > now - WINDOW_S}
        tries = self._tries.setdefault((kind, value), deque())
        while tries and tries[0] <= now - WINDOW_S:
            tries.popleft()
        return tries
