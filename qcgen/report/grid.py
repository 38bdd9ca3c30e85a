"""The grid page's data: columns, not rows, in a classic script, because a page opened from disk may not fetch."""

import base64
import json
import re
from array import array
from concurrent.futures import Executor
from pathlib import Path

from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.report.sprites import PER_SHEET, PER_SIDE, TILE_PX, Pictures, Sheets
from qcgen.report.tally import reasons_of

_OUTCOMES = tuple(Outcome)
_FILTER_FIELDS = ("product", "colour")
_CLOSES = re.compile("[<>&\u2028\u2029\x7f]")


class _Words:
    """A column of repeated texts: each text once, one number a row."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._index: array[int] = array("I")

    def add(self, text: str) -> None:
        self._index.append(self._place.setdefault(text, len(self._place)))

    def packed(self) -> dict[str, object]:
        return {"values": list(self._place), "index": _pack(self._index)}


class GridData:
    """Takes rows in item order, writes sprite sheets as it goes and the data script at the end."""

    def __init__(self, folder: Path, pictures: Pictures, encoder: Executor) -> None:
        (folder / "sprites").mkdir()
        self._folder = folder
        self._pictures = pictures
        self._sheets = Sheets(folder / "sprites", encoder)
        self._rows = 0
        self._words = {name: _Words() for name in ("sku", "prompt", "folder", "decision", *_FILTER_FIELDS)}
        self._ids: list[str] = []
        self._files: list[str] = []
        self._outcome: array[int] = array("B")
        self._tile: array[int] = array("B")
        self._attempt: array[int] = array("I")
        self._seed: array[float] = array("d")
        self._joint_p: array[float] = array("f")
        self._metrics: dict[str, array[float]] = {}
        self._reason_place: dict[str, int] = {}
        self._reason_start: array[int] = array("I", [0])
        self._reason: array[int] = array("H")
        self._messages: list[str] = []
        self._overlays: dict[int, str] = {}

    def add(self, row: Row, *, overlay: str | None = None) -> None:
        """`overlay`: a picture to lay over the row's own, relative to the images' folder."""
        if overlay is not None:
            self._overlays[self._rows] = overlay
        outcome = row.outcome if row.relpath is not None else Outcome.FAILED
        tile = self._pictures.thumbnail(row)
        self._sheets.add(tile)
        self._tile.append(tile is not None)
        folder, _, file = (row.relpath or "").rpartition("/")
        texts = {"sku": row.sku, "prompt": row.prompt, "folder": folder, "decision": row.decision or ""}
        texts |= {name: row.fields.get(name, "") for name in _FILTER_FIELDS}
        for name, text in texts.items():
            self._words[name].add(text)
        self._ids.append(row.image_id)
        self._files.append(file)
        self._outcome.append(_OUTCOMES.index(outcome))
        self._attempt.append(row.attempt)
        self._seed.append(row.seed)
        self._joint_p.append(float("nan") if row.joint_p is None else row.joint_p)
        self._add_reasons(row)
        self._add_metrics(row)
        self._rows += 1

    def close(self, run: RunInfo, images: str) -> None:
        """`images`: relative address of the images' folder, seen from the report."""
        self._sheets.close()
        data = {
            "schema": 1,
            "run": run.run_id,
            "name": run.name,
            "count": self._rows,
            "images": images,
            "sprite": {"tile": TILE_PX, "side": PER_SIDE, "sheet": PER_SHEET},
            "outcomes": [str(outcome) for outcome in _OUTCOMES],
            "ids": self._ids,
            "files": self._files,
            "outcome": _pack(self._outcome),
            "tile": _pack(self._tile),
            "attempt": _pack(self._attempt),
            "seed": _pack(self._seed),
            "jointP": _pack(self._joint_p),
            "words": {name: words.packed() for name, words in self._words.items()},
            "reasons": {
                "values": list(self._reason_place),
                "start": _pack(self._reason_start),
                "list": _pack(self._reason),
                "messages": self._messages,
            },
            "overlays": self._overlays,
            "metrics": {name: _pack(self._metrics[name]) for name in sorted(self._metrics)},
        }
        # A string for JSON.parse loads about twice as fast as the same data written as a JavaScript literal.
        text = _quote(json.dumps(data, separators=(",", ":")))
        (self._folder / "grid-data.js").write_text(f"window.qcgenGrid = JSON.parse({text});\n", encoding="ascii")

    def _add_reasons(self, row: Row) -> None:
        for kind, message in reasons_of(row).items():
            self._reason.append(self._reason_place.setdefault(kind, len(self._reason_place)))
            self._messages.append(message)
        self._reason_start.append(len(self._reason))

    def _add_metrics(self, row: Row) -> None:
        for name in row.measures.keys() - self._metrics.keys():
            self._metrics[name] = array("f", [float("nan")]) * self._rows
        for name, column in self._metrics.items():
            column.append(row.measures.get(name, float("nan")))


def _pack(column: "array[int] | array[float]") -> str:
    """Little-endian base64; the page reads it as a typed array."""
    if array("H", [1]).tobytes() == b"\0\1":
        column = column[:]
        column.byteswap()
    return base64.b64encode(column.tobytes()).decode("ascii")


def _quote(text: str) -> str:
    return _CLOSES.sub(lambda hit: f"\\u{ord(hit[0]):04x}", json.dumps(text))
