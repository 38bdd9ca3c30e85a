"""What a report section is made of. Views build blocks; `html` and `csvout` render them alike."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from markupsafe import Markup

from qcgen.report.runview import RunView


@dataclass(frozen=True, slots=True)
class Number:
    """A number with the text that a person reads; CSV gets the number."""

    value: float | int | None
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A state: always a shape and a word, the colour only repeats them. `state`: good, warn, bad, none."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Heat:
    """A number in a shaded cell. `level`: -3 (much worse) to 3 (much better), 0 shaded without a direction.

    The text must carry a sign of its own: the shade only repeats it.
    """

    value: float
    text: str
    level: int


Cell = str | Number | Link | Mark | Heat


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`name` is part of the CSV file's name: lower case, digits and hyphens."""

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str | None = None
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart and the table with its numbers."""

    kind: ClassVar[str] = "figure"
    title: str
    chart: Markup
    table: Table
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    chart: Markup
    note: str


@dataclass(frozen=True, slots=True)
class Panels:
    """Small multiples side by side, one table with the numbers of all."""

    kind: ClassVar[str] = "panels"
    panels: tuple[Panel, ...]
    table: Table


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the verdict band."""

    label: str
    value: str
    note: str
    state: str | None = None
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """The first screen: one answer, why, and the numbers behind it."""

    kind: ClassVar[str] = "band"
    state: str
    answer: str
    sentence: str
    reasons: tuple[str, ...]
    chart: Markup
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    src: str | None
    href: str | None
    title: str
    mark: Mark
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """`wide`: pictures are twice as wide as tall."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]
    table: Table
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One reason with what shows it.

    Attributes:
        measured: the number, its unit and its limit.
        overlay: laid over the picture, transparent where nothing is marked; `scale` says what no colour and the
            strongest stand for.
        companion: another picture, shown beside.
        swatches: a colour with its label.
    """

    title: str
    measured: str
    says: str
    overlay: str | None = None
    companion: str | None = None
    scale: tuple[str, str] | None = None
    charts: tuple[Markup, ...] = ()
    swatches: tuple[tuple[Markup, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A doubtful picture; the strongest reason first."""

    picture: Picture
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    kind: ClassVar[str] = "cases"
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Code:
    kind: ClassVar[str] = "code"
    title: str
    text: str
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """Statements with a short lead each."""

    kind: ClassVar[str] = "bullets"
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Text:
    kind: ClassVar[str] = "text"
    text: str


Block = Table | Figure | Panels | Band | Gallery | Cases | Facts | Code | Bullets | Text


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the page. `lead` is the sentence under its title: what to take from it."""

    name: str
    title: str
    lead: str
    blocks: tuple[Block, ...]

    def tables(self) -> tuple[Table, ...]:
        """Every table of the section, those beside charts included."""
        found: list[Table] = []
        for block in self.blocks:
            if isinstance(block, Table):
                found.append(block)
            elif isinstance(block, Figure | Gallery | Panels):
                found.append(block.table)
        return tuple(found)


class View(Protocol):
    """One file in `views/`. Pure.

    Attributes:
        name: anchor on the page and first part of its CSV files' names; lower case, digits and hyphens.
        order: sections are sorted by it; no two alike.
    """

    name: ClassVar[str]
    order: ClassVar[int]

    def build(self, view: RunView) -> Section:
        """The section for a run; an empty run has one too."""
        ...
