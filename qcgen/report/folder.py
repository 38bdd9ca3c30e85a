"""A report's folder: built beside its place with the digests of all its files, then swapped in."""

import hashlib
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
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        yield fresh
        _write_sums(fresh)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


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
    folder.rename(old / folder.name)
    try:
        fresh.rename(folder)
    except OSError:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
