"""A run's files, opened below its folder and nowhere else, and only if their bytes are those that were recorded."""

import hashlib
import os
import stat
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from qcgen.review.problem import CHANGED_FILE, UNKNOWN, RefusedError

FILE_LIMIT = 64 * 1024 * 1024
CACHE_LIMIT = 96 * 1024 * 1024

_TYPES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


def read_below(root: Path, relpath: str) -> bytes:
    """The bytes of a regular file; every folder on the way is opened without following links.

    Raises:
        RefusedError: there is no such file below `root`, or it is larger than 64 MiB.
    """
    parts = relpath.split("/")
    if not relpath or "\0" in relpath or "\\" in relpath or any(part in ("", ".", "..") for part in parts):
        raise RefusedError(UNKNOWN)
    try:
        return _read_regular(root, parts)
    except (OSError, UnicodeError) as error:
        raise RefusedError(UNKNOWN) from error


def _read_regular(root: Path, parts: list[str]) -> bytes:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        # A pipe under a picture's name must not hold the thread: O_NONBLOCK.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(parts[-1], flags, dir_fd=folder), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_LIMIT:
                raise RefusedError(UNKNOWN)
            return file.read(FILE_LIMIT + 1)
    finally:
        os.close(folder)


def media_type(data: bytes) -> str:
    """By the first bytes. Raises RefusedError for what is no picture that qcgen writes."""
    for start, name in _TYPES:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise RefusedError(UNKNOWN)


class Files:
    """Reads checked files and keeps the last ones; a file that was changed since it was recorded is refused."""

    def __init__(self, limit: int = CACHE_LIMIT) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def read(self, root: Path, relpath: str, sha256: str) -> bytes:
        """Raises RefusedError: no such file, or other bytes than `sha256` says."""
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
                return self._kept[sha256]
        data = read_below(root, relpath)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise RefusedError(CHANGED_FILE)
        self._keep(sha256, data)
        return data

    def _keep(self, sha256: str, data: bytes) -> None:
        with self._lock:
            if sha256 in self._kept:
                return
            self._kept[sha256] = data
            self._size += len(data)
            while self._size > self._limit:
                self._size -= len(self._kept.popitem(last=False)[1])
