"""The confined decoding process and the pipes to it: several requests ahead, answers in order."""

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from qcgen.data import decode
from qcgen.data.decode import HEAD

_PIPE = _CHUNK = 1 << 20

Answer = tuple[Mapping[str, object], bytearray]
"""What the process says of a picture, and its codes, plane by plane."""


class DecodePipe:
    """Starts the process; both ends are read and written by turns, so that neither can wait for the other for ever.

    `receive` raises EOFError or another OSError where the process ended, TimeoutError where it gave no answer in time.

    Args:
        seconds: that one answer may take.
        address_space: of the process, bytes.
    """

    def __init__(self, *, seconds: float, address_space: int) -> None:
        # Each thread of a library reserves address space.
        single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", decode.__file__, str(address_space)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **single},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        for end in (self._to, self._from):
            # Each time a pipe is full costs a switch to the other process; more than the system allows is no matter,
            # and only Linux lets a process ask.
            with suppress(OSError, AttributeError):
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE)
        self._seconds = seconds
        self._ends_at = 0.0
        self._broken: EOFError | OSError | None = None
        self._whole: deque[Answer] = deque()
        self._about = -1
        self._part = bytearray(HEAD.size)
        self._filled = 0

    @property
    def held(self) -> int:
        """Bytes of answers that nobody has taken yet."""
        return sum(len(codes) for _, codes in self._whole)

    def end(self) -> str:
        """Kill the process; how it ended if it did so itself."""
        with suppress(subprocess.TimeoutExpired):
            # Its end of the pipe closes a moment before it is gone; one that still serves has nothing to say.
            self._process.wait(timeout=0.2 if self._broken is not None else 0)
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            # Closing flushes; nothing was ever written through the buffered side.
            pipe.close()
        return f"signal {-code}" if code < 0 else f"code {code}"

    def send(self, about: bytes, content: bytes) -> None:
        """Ask for a picture, taking answers that come meanwhile; what goes wrong is told when its answer is missed."""
        if self._broken is not None:
            return
        self._ends_at = time.monotonic() + self._seconds
        try:
            for part in (HEAD.pack(len(about), len(content)) + about, content):
                view = memoryview(part)
                while view:
                    if self._wait(writing=True):
                        view = view[os.write(self._to, view[:_CHUNK]) :]
        except (EOFError, OSError) as error:
            self._broken = error

    def receive(self) -> Answer:
        """The next answer, in the order asked."""
        self._ends_at = time.monotonic() + self._seconds
        while not self._whole:
            if self._broken is not None:
                raise self._broken
            try:
                self._wait(writing=False)
            except (EOFError, OSError) as error:
                self._broken = error
        return self._whole.popleft()

    def _wait(self, *, writing: bool) -> bool:
        """Take what has come; whether the process takes more."""
        waiting = select.poll()
        waiting.register(self._from, select.POLLIN)
        if writing:
            waiting.register(self._to, select.POLLOUT)
        left_s = self._ends_at - time.monotonic()
        ready = dict(waiting.poll(max(0.0, left_s) * 1000))
        if not ready:
            raise TimeoutError
        if self._from in ready:
            self._take()
        return bool(ready.get(self._to, 0) & select.POLLOUT)

    def _take(self) -> None:
        """One read, of the sizes or of what follows them."""
        with memoryview(self._part) as whole, whole[self._filled : self._filled + _CHUNK] as view:
            count = os.readv(self._from, [view])
        if not count:
            raise EOFError
        self._filled += count
        if self._filled < len(self._part):
            return
        answer, self._filled = self._part, 0
        if self._about < 0:
            self._about, codes = HEAD.unpack(answer)
            self._part = bytearray(self._about + codes)
        else:
            told = json.loads(answer[: self._about])
            del answer[: self._about]  # moves no byte: a bytearray can begin later
            self._whole.append((cast(Mapping[str, object], told), answer))
            self._about, self._part = -1, bytearray(HEAD.size)
            self._ends_at = time.monotonic() + self._seconds
