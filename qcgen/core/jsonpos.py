"""JSON to plain values; where there is a mistake, the line of every key, and every key that is given twice."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.wording import Problems, file_name, show
from qcgen.core.yamlpos import MAX_DEPTH, Document, Place, Tree, dotted

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]|[^\s{}\[\],:"]+')


@dataclass(frozen=True, slots=True)
class Json:
    """A parsed file.

    Attributes:
        name: the path as the user gave it.
        value: what the file says; of a key given twice, the second value.
        repeats: a key is given twice somewhere.
    """

    name: str
    text: str
    value: dict[str, Tree]
    repeats: bool

    def document(self) -> Document:
        """With the lines, for messages; it takes a pass over the text."""
        scanner = _Scanner(self.name)
        for match in _TOKEN.finditer(self.text):
            scanner.take(match.group())
        return Document(self.name, self.value, scanner.lines, tuple(scanner.problems.lines()))


def read_json(path: Path) -> Json:
    """Read a JSON file with keys and values; one that cannot be understood to its end is a SpecError."""
    name = file_name(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError(f"{name}: cannot be read ({error.strerror}). Give a readable file.") from None
    except UnicodeDecodeError as error:
        got = f"byte 0x{error.object[error.start]:02x}"
        raise SpecError(f"{name}: must be text in UTF-8 (got {got}). Save it as UTF-8.") from None
    repeats = False

    def collect(pairs: list[tuple[str, Tree]]) -> dict[str, Tree]:
        nonlocal repeats
        group = dict(pairs)
        repeats = repeats or len(group) < len(pairs)
        return group

    try:
        value = json.loads(text, object_pairs_hook=collect)
    except json.JSONDecodeError as error:
        raise SpecError(f"{name}:{error.lineno}: is not valid JSON ({error.msg}). Mend the line.") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{name}: is not valid JSON ({error}). Write it simpler.") from None
    if _deeper(value, MAX_DEPTH):
        raise SpecError(f"{name}: is nested more than {MAX_DEPTH} deep. Make it flatter.")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise SpecError(f"{name}: holds half of a character, like \\ud800. Write it whole.") from None
    if not isinstance(value, dict):
        raise SpecError(f'{name}:1: must be keys with values, like {{"version": 1}} (got {show(value)}).')
    return Json(name, text, value, repeats)


def _deeper(value: Tree, most: int) -> bool:
    level: list[Tree] = [value]
    for _ in range(most + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


@dataclass(slots=True)
class _Frame:
    """An open group or list; `step` is the key or index that the next value belongs to, None where a key comes next."""

    place: Place
    step: str | int | None
    first_lines: dict[str, int] = field(default_factory=dict)


class _Scanner:
    """Walks over the tokens of valid JSON."""

    def __init__(self, name: str) -> None:
        self.lines: dict[Place, int] = {}
        self.problems = Problems()
        self._name = name
        self._line = 1
        self._stack: list[_Frame] = []

    def take(self, token: str) -> None:
        frame = self._stack[-1] if self._stack else None
        if token == "\n":
            self._line += 1
        elif token in ("}", "]"):
            self._stack.pop()
        elif token == "," and frame is not None:
            frame.step = frame.step + 1 if isinstance(frame.step, int) else None
        elif frame is not None and frame.step is None:
            self._key(frame, json.loads(token))
        elif token != ":":
            self._value(frame, token)

    def _key(self, frame: _Frame, key: str) -> None:
        frame.step = key
        place = (*frame.place, key)
        if key in frame.first_lines:
            first = f"first on line {frame.first_lines[key]}"
            rule = f"is given twice ({first}). Keep one of them."
            self.problems.add("keys given twice", f"{self._name}:{self._line} {dotted(place)}: {rule}")
        frame.first_lines.setdefault(key, self._line)
        self.lines[place] = self._line

    def _value(self, frame: _Frame | None, token: str) -> None:
        place: Place = () if frame is None or frame.step is None else (*frame.place, frame.step)
        self.lines.setdefault(place, self._line)
        if token in ("{", "["):
            self._stack.append(_Frame(place, None if token == "{" else 0))
