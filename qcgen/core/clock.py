"""Seconds spent per stage of a run or a training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Clock:
    """Adds up wall seconds by stage; those of other threads (encoders, the recorder) overlap, so the sum can
    exceed the run's."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            elapsed_s = time.perf_counter() - started
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + elapsed_s

    def seconds(self) -> dict[str, float]:
        with self._lock:
            return dict(self._seconds)
