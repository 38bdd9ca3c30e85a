"""A training's event log: JSON lines that are only ever appended, read back as one undisturbed story."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Event: TypeAlias = dict[str, object]
"""`event` (its kind), `time_s` (seconds since 1970), and for most kinds `stage` and `step`."""


EVENTS_FILE = "events.jsonl"
"""In the training's output folder."""
_RESTARTS = frozenset({"start", "resume", "rollback"})


class EventLog:
    """Appends events; each is one line, written at once, so that a killed process leaves at most one broken line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, kind: str, facts: Mapping[str, object], *, time_s: float) -> None:
        """Append one event. Numbers that JSON does not know are written as null; floats keep six digits."""
        line = json.dumps({"event": kind, "time_s": round(time_s, 3), **{k: _plain(v) for k, v in facts.items()}})
        with self.path.open("a", encoding="utf-8") as file:
            if file.tell() and not self._ends_with_newline():
                file.write("\n")
            file.write(line + "\n")

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def read_events(path: Path) -> list[Event]:
    """The events of a log in order, without those that a later `resume` or `rollback` made again.

    `start`, `resume` and `rollback` carry the `mark` from which the work went on: events of that mark and later ones
    before them are dropped, and the restart gets what they took as `superseded`: seconds per stage, as in `seconds`.
    Lines that a killed process left broken are skipped.
    """
    kept: list[Event] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        if event.get("event") in _RESTARTS and isinstance(event.get("mark"), int):
            mark = event["mark"]
            event["superseded"] = seconds_of([one for one in kept if _mark(one) >= mark])
            kept = [one for one in kept if _mark(one) < mark]
        kept.append(event)
    return kept


def rows_of(events: Sequence[Event], kind: str) -> list[Event]:
    """The events of one kind."""
    return [event for event in events if event.get("event") == kind]


def _mark(event: Event) -> int:
    mark = event.get("mark", 0)
    # Restarts themselves stay in the story, whatever was made again after them.
    return mark if isinstance(mark, int) and event.get("event") not in _RESTARTS else -1


def seconds_of(events: Sequence[Event]) -> dict[str, float]:
    """Seconds per stage over some events, what they superseded included."""
    spent: dict[str, float] = {}
    for seconds in (event.get(key) for event in events for key in ("seconds", "superseded")):
        for stage, value in seconds.items() if isinstance(seconds, Mapping) else ():
            spent[stage] = spent.get(stage, 0.0) + (value or 0.0)
    return spent


def _plain(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
