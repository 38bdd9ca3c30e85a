"""Ctrl-C and SIGTERM as a flag that is looked at between batches; a second one ends the program at once, if it works
alone."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from qcgen.core.errors import PausedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedRunError(PausedError):
    """A person or the system asked the run to stop."""


class Stop:
    """Whether a signal came; `again` is what resumes the work."""

    def __init__(self, again: str) -> None:
        self._name: str | None = None
        self._again = again

    def check(self) -> None:
        """Raise `InterruptedRunError` if it did."""
        if self._name:
            raise InterruptedRunError(f"Stopped by {self._name}. What was recorded is kept. Cure: {self._again}.")

    def request(self, name: str) -> None:
        self._name = name


@contextmanager
def listen(again: str = "start the same command again to resume", *, alone: bool = True) -> Iterator[Stop]:
    """Catch the signals while the block runs; outside the main thread, where Python allows no handlers, none.

    Args:
        alone: a second signal ends the program. Not among several processes: a launcher passes on what the system may
            have sent to each of them already.
    """
    stop = Stop(again)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def catch(number: int, frame: FrameType | None) -> None:
        stop.request(signal.Signals(number).name)
        if alone:
            signal.signal(number, before[signal.Signals(number)])

    for number in _SIGNALS:
        signal.signal(number, catch)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            signal.signal(number, before[number])
