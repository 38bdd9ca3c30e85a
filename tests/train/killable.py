"""`qcgen` in processes that can be signalled and killed; a fork server keeps torch imported."""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_TIMEOUT_S = 600.0
"""Generous: a machine under load needs minutes to import torch."""


class Qcgen:
    """One start of the program; `told` is what it printed on both streams."""

    def __init__(self, log: Path, arguments: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["qcgen.pipeline.distill", "tests.train.killable"])
        self._log = log
        log.touch()
        self._process = context.Process(target=_work, args=(log, tuple(arguments)))
        self._process.start()

    @property
    def told(self) -> str:
        return self._log.read_text()

    def wait_for_lines(self, file: Path, count: int) -> bool:
        """Until `file` has so many lines; False if the process ended before."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not file.is_file() or file.read_bytes().count(b"\n") < count:
            if not self._process.is_alive():
                return False
            assert time.monotonic() < deadline, self.told
            time.sleep(0.005)
        return True

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def join(self) -> int:
        """The exit code."""
        self._process.join(_TIMEOUT_S)
        assert self._process.exitcode is not None, self.told
        return self._process.exitcode


def _work(log: Path, arguments: tuple[str, ...]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from qcgen.cli.main import main

    sys.exit(main(arguments))
