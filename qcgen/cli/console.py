"""What commands print: results on stdout, progress and logs on stderr."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class Show(Protocol):
    """Called with what is done, what there is in all, and more counts to print."""

    def __call__(self, done: int, total: int, **counts: int) -> None: ...


def print_result(result: Mapping[str, object], *, as_json: bool, text: str) -> None:
    """Print one JSON object, or the text for people."""
    print(json.dumps(plain(result)) if as_json else text)


def say(sentence: str) -> None:
    """A sentence for a person, beside the progress."""
    print(sentence, file=sys.stderr, flush=True)


def warn(messages: Sequence[str]) -> None:
    """Tell on stderr what a person should know: words on a terminal, JSON lines otherwise."""
    if not messages:
        return
    if sys.stderr.isatty():
        print(*(f"warning: {message}" for message in messages), sep="\n", file=sys.stderr)
        return
    log = _json_log()
    for message in messages:
        log.warning(message)


def plain(value: object) -> object:
    """A value of ours as JSON knows it: dataclasses and mappings become objects, paths become text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return value


@contextmanager
def progress_shown(label: str) -> Iterator[Show]:
    """A bar with the time left on a terminal, else one JSON line about every two seconds; both on stderr."""
    if not sys.stderr.isatty():
        yield _JsonLines(label)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=None)

        def show(done: int, total: int, **counts: int) -> None:
            told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            bars.update(task, completed=done, total=total, description=told)

        yield show


class _JsonLines:
    def __init__(self, label: str) -> None:
        self.log = _json_log()
        self.label = label
        self.began_s = time.monotonic()
        self.last_s = float("-inf")

    def __call__(self, done: int, total: int, **counts: int) -> None:
        now_s = time.monotonic()
        if done < total and now_s - self.last_s < 2:
            return
        self.last_s = now_s
        elapsed_s = now_s - self.began_s
        left_s = round(elapsed_s / done * (total - done), 1) if done else None
        self.log.info(self.label, done=done, total=total, **counts, elapsed_s=round(elapsed_s, 1), left_s=left_s)


class _Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...

    def warning(self, event: str, **fields: object) -> None: ...


def _json_log() -> _Log:
    import structlog

    stamp, render = structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()
    log: _Log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=[stamp, render])
    return log


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A plain table, columns padded: readable in a log as on a terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows)]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
