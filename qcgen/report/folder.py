"""A report's folder: built beside its place with the digests of all its files, then swapped in."""

import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.report.csvout import write_table
from qcgen.report.protocol import Section

NUMBERS = ("run.json", "trend.json", "compare.json")
"""One of these lies in every report."""


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `folder` when the block ends well, with SHA256SUMS of what lies in it.

    Raises:
        SpecError: `folder` holds something that is not a report.
    """
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part-", dir=folder.parent))
    held = _hold(fresh)
    try:
        fresh.chmod(0o755)
        yield fresh
        _write_sums(fresh)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if held is not None:
            os.close(held)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left: nobody holds it any more."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*-*"):
        held = _hold(left)
        if held is not None:
            # A writer that was killed between its two renames left the only copy of the old report here.
            inside = left / folder.name
            if not folder.exists() and (inside / "SHA256SUMS").is_file():
                inside.rename(folder)
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)


def _hold(path: Path) -> int | None:
    """A lock on a folder that ends with the process; None where somebody else has it, or there are no locks."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def write_page(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")


def write_tables(folder: Path, sections: Sequence[Section]) -> None:
    folder.mkdir()
    for section in sections:
        for table in section.tables():
            write_table(folder / f"{section.name}_{table.name}.csv", table)


def _write_sums(folder: Path) -> None:
    """In the form that `sha256sum -c SHA256SUMS` checks."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="ascii")


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    # A delivery has SHA256SUMS too; only a report has its numbers beside them.
    if (folder / "SHA256SUMS").is_file() and any((folder / name).is_file() for name in NUMBERS):
        return
    raise SpecError(f"{folder}: is not a report and would be replaced. Cure: name another folder or remove it")


def _swap(fresh: Path, folder: Path) -> None:
    """Two renames: a reader sees the old report, for an instant none, then the new one; never a half one."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
    held = _hold(old)
    folder.rename(old / folder.name)
    try:
        fresh.rename(folder)
    except OSError:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
        if held is not None:
            os.close(held)
