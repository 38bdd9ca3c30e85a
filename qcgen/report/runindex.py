"""The index of all runs in a reports' folder. Each report appends one line to a classic script; nothing is rebuilt."""

import fcntl
import json
import mmap
import os
import re
from collections.abc import Mapping
from pathlib import Path

from qcgen.report.html import render_runs

DATA, PAGE = "runs.js", "index.html"
_HEAD = b"window.qcgenRuns = [];\n"
_CLOSES = re.compile("[<>&\u2028\u2029\x7f]")
_COPIED = (
    "run_id", "name", "status", "started_at", "model", "planned", "accepted", "flagged", "rejected", "failed",
    "waiting", "seconds", "answer", "state",
)  # fmt: skip


def add_to_index(report: Path) -> Path:
    """Append a run's numbers to the index beside its report and return the index's page.

    Args:
        report: the run's report folder; its run.json is read.

    A line that is there already is not added again; of two lines of one run the page shows the later one. A line that a
    power failure cut off is removed.
    """
    told = json.loads((report / "run.json").read_text(encoding="utf-8"))
    folder = report.parent
    handle = os.open(folder / DATA, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _append(handle, _line(told, report.name))
        _keep_page(folder / PAGE, render_runs().encode())
    finally:
        os.close(handle)
    return folder / PAGE


def _line(told: Mapping[str, object], folder: str) -> bytes:
    entry = {"folder": folder, **{name: told.get(name) for name in _COPIED}}
    text = json.dumps(entry, separators=(",", ":"))
    return f"qcgenRuns.push({_escape(text)});\n".encode("ascii")


def _escape(text: str) -> str:
    return _CLOSES.sub(lambda hit: f"\\u{ord(hit[0]):04x}", text)


def _append(handle: int, line: bytes) -> None:
    size = _whole_lines(handle)
    if size == 0:
        line = _HEAD + line
    elif _holds(handle, line):
        return
    _write(handle, line, size)


def _keep_page(path: Path, page: bytes) -> None:
    """Write it where it is missing or of another version."""
    if path.is_file() and path.read_bytes() == page:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(page)
    part.replace(path)


def _whole_lines(handle: int) -> int:
    """Where the last whole line ends; what a broken write left behind it would break the whole script."""
    size = os.fstat(handle).st_size
    while size:
        start = max(size - 65_536, 0)
        found = os.pread(handle, size - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        size = start
    return 0


def _holds(handle: int, line: bytes) -> bool:
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as held:
        return held.find(b"\n" + line) >= 0


def _write(handle: int, line: bytes, at: int) -> None:
    try:
        os.ftruncate(handle, at)
        written = os.pwrite(handle, line, at)
        if written != len(line):
            raise OSError(f"{written} of {len(line)} bytes written")
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, at)
        raise
