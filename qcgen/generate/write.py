"""Files that are whole or absent: `.part`, fsync, rename, and one fsync per directory at the end of a shard."""

import errno
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from qcgen.core.errors import PausedError, QcgenError, SpecError
from qcgen.core.types import Item
from qcgen.generate.encode import FORMATS

IMAGES = "images"
PART = ".part"
_SLUG_LENGTH = 64
_HASH_LENGTH = 12
_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_HASHED = re.compile(r"(?:.*-)?[0-9a-f]{12}")
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST),
        *(errno.ENAMETOOLONG, errno.ELOOP),
    }
)


def slug(name: str) -> str:
    """A folder name of 1..64 characters [a-z0-9-], safe on every system, different for different names.

    A name that is already safe stays as it is; any other gets a hash of its own at the end. A safe name that ends like
    such a hash gets one too, so the two kinds never meet.
    """
    if _PLAIN.fullmatch(name) and not _HASHED.fullmatch(name) and name not in _RESERVED:
        return name
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", ascii_name)[: _SLUG_LENGTH - _HASH_LENGTH - 1].strip("-")
    tag = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_HASH_LENGTH // 2).hexdigest()
    return f"{readable}-{tag}" if readable else tag


def place(item: Item, image_format: str) -> str:
    """The file's path under the output folder: a function of the item alone, so a second try overwrites the first."""
    return f"{IMAGES}/{slug(item.sku)}/{item.index:06d}-{item.seed}.{FORMATS[image_format]}"


def write_file(path: Path, data: bytes) -> None:
    """Write `data` whole or not at all. The rename is durable after `sync_folders`.

    Raises:
        PausedError: the disk or the quota is full; nothing of the file is left.
        SpecError: the folder cannot be written.
    """
    part = path.with_name(path.name + PART)
    try:
        with _open_below(part) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        _remove_quietly(part)
        raise explain(error, path) from error


def _open_below(path: Path) -> BinaryIO:
    """The file, new; its folder is made if it is not there (almost always it is)."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames in these folders durable."""
    for folder in sorted(set(folders)):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def explain(error: OSError, path: Path, *, key: str = "output.dir") -> QcgenError | OSError:
    """The error that a user can act on; one that nobody foresaw is returned as it is.

    Args:
        key: the job's key that names the folder.
    """
    if error.errno in _FULL:
        return PausedError(
            f"{path.parent}: no space left ({error.strerror}). Cure: free space, then start the same command again."
        )
    if error.errno in _REFUSED:
        return SpecError(
            f"{key}: {path.parent} cannot be written ({error.strerror}). Cure: another folder or its permissions."
        )
    return error


def _remove_quietly(path: Path) -> None:
    # Best effort on the way out: the error that matters is already on its way, and a left .part is removed at the next
    # start.
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
