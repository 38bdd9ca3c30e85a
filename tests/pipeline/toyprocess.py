"""Toy runs in processes that can be signalled and killed; a fork server keeps torch imported, so that a start takes
milliseconds."""

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_TIMEOUT_S = 300.0
"""Generous: a machine under load needs minutes to import torch, and a run that hangs must still end the test."""


class ToyProcess:
    """One start of `toyjob.main`, told apart from others by its log files in `folder`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        context = _start_server()
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"log-{time.monotonic_ns()}.txt"
        self._log.touch()
        self.process: BaseProcess = context.Process(target=_importable_work(), args=(self._log, arguments))
        self.process.start()

    @property
    def told(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Until the process has told `text`; an error if it ends before."""
        deadline = time.monotonic() + timeout_s
        while text not in self.told:
            assert self.process.is_alive(), self.told
            assert time.monotonic() < deadline, self.told
            time.sleep(0.002)

    def wait_for_lines(self, count: int, timeout_s: float = _TIMEOUT_S) -> None:
        """Until the process has told so many lines, or has ended."""
        deadline = time.monotonic() + timeout_s
        while self.told.count("\n") < count and self.process.is_alive():
            assert time.monotonic() < deadline, self.told
            time.sleep(0.002)

    def signal(self, number: int) -> None:
        """A process that has ended is left alone."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def join(self, timeout_s: float = _TIMEOUT_S) -> int:
        """The exit code."""
        self.process.join(timeout_s)
        assert self.process.exitcode is not None, self.told
        code = self.process.exitcode
        self.process.close()
        return code


def _start_server() -> ForkServerContext:
    """The fork server reads its import path from the environment alone, once, when it starts."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toyprocess", "toyjob"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_FOLDER), str(_FOLDER.parents[1]), *([before] if before else [])])
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def _importable_work() -> Callable[[Path, tuple[str, ...]], None]:
    """`work` under the name by which the new process finds it; pytest imports this file under another."""
    if str(_FOLDER) not in sys.path:
        sys.path.append(str(_FOLDER))
    found: Callable[[Path, tuple[str, ...]], None] = importlib.import_module("toyprocess").work
    return found


def work(log: Path, arguments: tuple[str, ...]) -> None:
    """Runs in the new process."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import toyjob

    sys.exit(toyjob.main(list(arguments)))
