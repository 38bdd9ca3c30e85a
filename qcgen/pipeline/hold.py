"""One process a folder: the lock on what a run, a distillation, a pilot, a training or a scored report writes to."""

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qcgen.core.errors import PausedError
from qcgen.generate.write import explain

LOCK_FILE = ".qcgen.lock"
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


class HeldFolderError(PausedError):
    """Another process works in the folder."""


@contextmanager
def hold_folder(
    folder: Path,
    *,
    key: str,
    say: Callable[[str], None],
    lock: Callable[[int, int], None] = fcntl.flock,
) -> Iterator[None]:
    """Keep other processes out of a folder; the system lets go when this process ends, however it ends.

    The file stays: were it removed, two processes could hold two files of the same name. Where a file system has no
    locks the work goes on all the same, after saying so.

    Args:
        key: the job's key, or the option, that names the folder, for messages.
        say: receives a sentence where the file system has no locks.
        lock: the system's call.

    Raises:
        HeldFolderError: another process works there.
        SpecError: the folder cannot be written.
    """
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The lock of an earlier work can be opened where nothing new can be written.
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise explain(error, path, key=key) from error
    try:
        try:
            lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldFolderError(
                f"{key}: another qcgen works in {folder} (got {_holder(descriptor)}). "
                "Cure: wait for it, stop it, or give another folder."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(
                f"{key}: {folder} is on a file system without locks (got {error.strerror}), so a second qcgen in it "
                "would not be noticed and would spoil it. Cure: start one at a time, or give a folder on a local disk."
            )
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Who holds it, for the other one's message."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _holder(descriptor: int) -> str:
    # Empty in the moment between the lock and the name.
    return os.pread(descriptor, 300, 0).decode("utf-8", "replace") or "a process that has just started"
