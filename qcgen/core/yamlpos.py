"""YAML to plain values, with the line of every key. Only YAML's harmless part: no aliases, anchors, tags, directives.

Read event by event with a stack of our own: nothing is expanded or constructed, so a bomb costs what its bytes cost.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode

from qcgen.core.errors import SpecError
from qcgen.core.wording import Problems, file_name, plain, show

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_PROBLEMS = 200

Tree: TypeAlias = "bool | int | float | str | list[Tree] | dict[str, Tree] | None"
Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file.

    Attributes:
        name: the path as the user gave it.
        value: what the file says.
        lines: 1-based line of each place in it.
        problems: breaches of the rules above that leave the rest readable; a caller must raise them with its own.
        broken: places whose value is only a stand-in because of such a problem.
    """

    name: str
    value: dict[str, Tree]
    lines: Mapping[Place, int]
    problems: tuple[str, ...] = ()
    broken: frozenset[Place] = frozenset()

    def line(self, place: Place) -> int:
        """Line of a place, or of the nearest thing around it that is written down."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def where(self, place: Place) -> str:
        """`file:line key`, the start of every message."""
        return f"{self.name}:{self.line(place)} {dotted(place)}".rstrip()


def dotted(place: Place) -> str:
    """`items.rows[3].sku`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{plain(step)}" if text else plain(step)
    return text


def read_yaml(path: Path) -> Document:
    """Read a YAML file of at most 1 MB; a file that cannot be understood to its end is a SpecError."""
    name = file_name(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(f"{name}: no such file. Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"{name}: cannot be read ({reason}). Give a readable file.") from None
    if len(data) > MAX_BYTES:
        cure = "Put long lists of items into a CSV table (items.table)."
        raise SpecError(f"{name}: must be at most {MAX_BYTES:,} bytes. {cure}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{data[error.start]:02x}"
        raise SpecError(f"{name}:{line}: must be text in UTF-8 (got {got}). Save it as UTF-8.") from None
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text; `name` is what messages call it."""
    builder = _Builder(name)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except _StopReadingError:
        builder.problems.stop_if_any()
    except YAMLError as error:
        builder.problems.add("syntax", _syntax(name, error))
        builder.problems.stop_if_any()
    except (ValueError, RecursionError) as error:
        builder.problems.add("syntax", f"{name}: is not valid YAML ({plain(str(error))}).")
        builder.problems.stop_if_any()
    if not isinstance(builder.root, dict):
        builder.problems.stop_if_any()
        got = "an empty file" if builder.root is None else show(builder.root)
        cure = "Start from a file in jobs/."
        raise SpecError(f"{name}:1: must be keys with values, like `version: 1` (got {got}). {cure}")
    return Document(name, builder.root, builder.lines, tuple(builder.problems.lines()), frozenset(builder.broken))


class _StopReadingError(Exception):
    """What follows cannot be understood any more; the problems found so far say why."""


@dataclass(slots=True)
class _Frame:
    """An open mapping or list; `key` is the mapping's key that waits for its value."""

    container: "dict[str, Tree] | list[Tree]"
    place: Place
    key: str | None = None
    ignore_value: bool = False
    first_lines: dict[str, int] = field(default_factory=dict)


class _Builder:
    """Turns events into values; a place with a problem gets a stand-in so that the rest can still be checked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems = Problems()
        self.root: Tree = None
        self.lines: dict[Place, int] = {}
        self.broken: set[Place] = set()
        self._stand_in = False
        self._stack: list[_Frame] = []
        self._documents = 0
        self._count = 0
        # One more loader, only for its resolver and scalar constructor (YAML 1.2: `no` and `on` are text).
        self._scalars = YAML(typ="safe", pure=True)

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent):
            self._start_document(event, line)
        elif isinstance(event, AliasEvent):
            got = show("*" + str(event.anchor))
            self._report(line, f"aliases are not allowed (got {got}). Write the value out.", "alias")
            self._stand_in = True
            self._put(None, line)
        elif isinstance(event, ScalarEvent):
            self._check_marks(event, line)
            self._scalar(event, line)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._check_marks(event, line)
            self._open({} if isinstance(event, MappingStartEvent) else [], line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._stack.pop()

    def _start_document(self, event: DocumentStartEvent, line: int) -> None:
        self._documents += 1
        if event.version or event.tags:
            self._report(line, "directives (lines that begin with %) are not allowed. Remove the line.", "directive")
        if self._documents > 1:
            self._report(line, "a second document begins here (`---`). Keep one document a file.", "document")
            raise _StopReadingError

    def _check_marks(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent, line: int) -> None:
        if event.anchor is not None:
            got = show("&" + str(event.anchor))
            self._report(line, f"anchors are not allowed (got {got}). Remove the anchor.", "anchor")
        if event.tag is not None:
            self._report(line, f"tags are not allowed (got {show(str(event.tag))}). Remove the tag.", "tag")

    def _scalar(self, event: ScalarEvent, line: int) -> None:
        frame = self._stack[-1] if self._stack else None
        value = self._resolve(event, line)
        if frame is not None and isinstance(frame.container, dict) and frame.key is None:
            self._take_key(frame, value, event.value, line)
        else:
            self._put(value, line)

    def _take_key(self, frame: _Frame, value: Tree, text: str, line: int) -> None:
        if not isinstance(value, str):
            self._report(line, f"a key must be text (got {show(value)}). Put it in quotes.", "key")
            self.broken.add((*frame.place, text))
        if text in frame.first_lines:
            first = frame.first_lines[text]
            key = dotted((*frame.place, text))
            self._report(line, f"{key}: is given twice (first on line {first}). Keep one of them.", "twice")
            frame.ignore_value = True
        frame.first_lines.setdefault(text, line)
        frame.key = text
        if not frame.ignore_value:
            self.lines[(*frame.place, text)] = line

    def _open(self, container: "dict[str, Tree] | list[Tree]", line: int) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._report(line, f"must be nested at most {MAX_DEPTH} deep. Make it flatter.", "depth")
            raise _StopReadingError
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.container, dict) and top.key is None:
            self._report(line, "a key must be one word, not a list or a group. Rewrite the line.", "key")
            raise _StopReadingError
        self._stack.append(_Frame(container, self._put(container, line)))

    def _put(self, value: Tree, line: int) -> Place:
        if not self._stack:
            self.root = value
            return ()
        frame = self._stack[-1]
        if isinstance(frame.container, list):
            place: Place = (*frame.place, len(frame.container))
            self.lines[place] = line
            frame.container.append(value)
            return self._mark(place)
        if frame.key is None:  # an alias in the place of a key
            raise _StopReadingError
        place = (*frame.place, frame.key)
        if not frame.ignore_value:
            frame.container[frame.key] = value
        frame.key, frame.ignore_value = None, False
        return self._mark(place)

    def _mark(self, place: Place) -> Place:
        if self._stand_in:
            self.broken.add(place)
            self._stand_in = False
        return place

    def _resolve(self, event: ScalarEvent, line: int) -> Tree:
        text: str = event.value
        tag = str(self._scalars.resolver.resolve(ScalarNode, text, event.implicit))
        kind = tag.rpartition(":")[2]
        if kind in ("int", "float", "bool", "null"):
            return self._number(ScalarNode(tag, text, event.start_mark, event.end_mark), line)
        if any((ord(letter) < 32 and letter not in "\n\t") or 0xD800 <= ord(letter) <= 0xDFFF for letter in text):
            rule = "control characters are not allowed in text"
            self._report(line, f"{rule} (got {show(text)}). Remove them.", "control character")
            self._stand_in = True
            return "x"
        return text

    def _number(self, node: ScalarNode, line: int) -> Tree:
        try:
            value = self._scalars.constructor.construct_object(node)
        except (YAMLError, ValueError):
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            got = show(str(node.value))
            self._report(line, f"must be a finite number (got {got}). Write an ordinary number.", "number")
            self._stand_in = True
            return 1
        if isinstance(value, int) and abs(value) >= 2**63:
            got = show(str(node.value))
            self._report(line, f"must be a number below 2^63 (got {got}). Write a smaller one.", "number")
            self._stand_in = True
            return 1
        assert value is None or isinstance(value, bool | int | float)
        return value

    def _report(self, line: int, text: str, kind: str) -> None:
        colon = "" if kind == "twice" else ":"
        self.problems.add(kind, f"{self.name}:{line}{colon} {text}")
        self._count += 1
        if self._count >= MAX_PROBLEMS:
            raise _StopReadingError


# What ruamel says -> what a person can use.
_SYNTAX = (
    ("could not find expected ':'", "a colon is missing, or a text runs over several lines. Write `key: value`."),
    (
        "mapping values are not allowed",
        "a colon stands where none can. Put texts with a colon in quotes, check the indentation.",
    ),
    ("cannot start any token", "a tab, % , @ or ` begins a value. Indent with spaces, and put such texts in quotes."),
    ("expected <block end>", "the indentation does not fit the lines above. Line keys of one group up, close quotes."),
    ("found unexpected end of stream", "a quote is never closed. Close it."),
    ("expected ',' or ']'", "a list is never closed with ], or a comma is missing. Close it."),
    ("expected ',' or '}'", "a group is never closed with }, or a comma is missing. Close it."),
    ("expected the node content", "a bracket or value is missing. Close every [ and {."),
    ("unknown escape character", r"a backslash in double quotes starts an unknown escape. Use single quotes or \\."),
    ("special characters are not allowed", "control characters are not allowed. Remove them."),
    ("undefined alias", "aliases are not allowed. Write the value out, or put texts that begin with * in quotes."),
)


def _syntax(name: str, error: YAMLError) -> str:
    mark = error.problem_mark or error.context_mark if isinstance(error, MarkedYAMLError) else None
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    said = str(getattr(error, "problem", None) or error)
    for needle, words in _SYNTAX:
        if needle in said or needle in str(error):
            return f"{where}: is not valid YAML: {words}"
    return f"{where}: is not valid YAML ({plain(said.splitlines()[0] if said else 'unreadable')})."
