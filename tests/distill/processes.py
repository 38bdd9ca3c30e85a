"""Several processes of one training on this machine, with the environment that `torchrun` gives; a fork server keeps
torch imported."""

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from qcgen.distill.ranks import Ranks, joined

_TIMEOUT_S = 900.0
"""Generous: a machine under load needs minutes to import torch."""

Work = Callable[[Ranks, Path], None]


class FailedError(AssertionError):
    """A process ended with an error code; the message is what all of them told."""


def run_together(work: Work, folder: Path, *, world: int = 2, timeout: timedelta = timedelta(minutes=10)) -> list[str]:
    """`work` at each of `world` processes; what each told if none failed.

    Raises:
        FailedError: with what each of them told, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.conftest", "tests.distill.toynet", "tests.distill.processes"])
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    logs = [folder / f"told-{rank}.txt" for rank in range(world)]
    started = [
        context.Process(target=_start, args=(work, folder, rank, world, port, timeout, logs[rank]))
        for rank in range(world)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(_TIMEOUT_S)
    told = [log.read_text() if log.is_file() else "" for log in logs]
    late = [process for process in started if process.exitcode is None]
    for process in late:
        process.kill()
    if any(process.exitcode for process in started):
        raise FailedError(f"late: {len(late)}\n" + "\n---\n".join(told))
    return told


def _start(work: Work, folder: Path, rank: int, world: int, port: int, timeout: timedelta, log: Path) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    import torch

    torch.set_num_threads(1)
    with log.open("w", buffering=1) as file:
        sys.stdout = sys.stderr = file
        try:
            with joined("cpu", timeout=timeout) as ranks:
                work(ranks, folder)
        except BaseException as error:
            traceback.print_exc(file=file)
            file.flush()
            # As a program that ends: without the clean-up of a process group whose other half may be gone.
            os._exit(getattr(error, "exit_code", 1))
