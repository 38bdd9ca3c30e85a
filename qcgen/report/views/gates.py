"""What may stop the batch as a whole."""

from collections.abc import Mapping
from typing import ClassVar

from qcgen.core.types import Finding, Severity
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.protocol import Block, Cell, Column, Mark, Number, Section, Table, Text
from qcgen.report.runview import RunView

_STATES = {
    Severity.BLOCK: (0, Mark("bad", "Blocks")),
    Severity.WARN: (1, Mark("warn", "Needs a look")),
    Severity.INFO: (2, Mark("good", "In order")),
}
_OPEN = Mark("none", "Not judged")


_COLUMNS = (
    Column("State"),
    Column("Gate"),
    Column("What was found"),
    Column("Value", True),
    Column("Limit", True),
)


class Gates:
    name: ClassVar[str] = "gates"
    order: ClassVar[int] = 20

    def build(self, view: RunView) -> Section:
        blocks: list[Block] = []
        if view.run.gates:
            rows = tuple(_row(gate) for gate in sorted(view.run.gates, key=_place))
            blocks.append(Table("gates", "Gates of this run", _COLUMNS, rows))
        else:
            blocks.append(Text("The run carries no gate result, so nothing here stops it and nothing clears it."))
        beside = [_row(check)[:3] for check in sorted(view.checks, key=_place)] + _marking(view)
        if beside:
            columns = (Column("State"), Column("Check"), Column("What was found"))
            blocks.append(Table("checks", "Beside the pictures", columns, tuple(beside)))
        return Section("gates", "Gates", _lead((*view.run.gates, *view.checks)), tuple(blocks))


def _lead(told: tuple[Finding, ...]) -> str:
    red = sum(gate.severity is Severity.BLOCK for gate in told)
    yellow = sum(gate.severity is Severity.WARN for gate in told)
    if not red + yellow:
        return "No gate objects." if told else ""
    found = [f"{several(red, 'gate blocks', 'gates block')}"] * bool(red)
    found += [f"{several(yellow, 'gate asks', 'gates ask')} for a look"] * bool(yellow)
    return f"{' and '.join(found)}."


def _place(gate: Finding) -> tuple[int, str]:
    return _STATES[gate.severity][0], gate.kind


def _row(gate: Finding) -> tuple[Cell, ...]:
    unjudged = gate.kind.startswith("gate_") and gate.severity is Severity.INFO and gate.threshold is None
    return (
        _OPEN if unjudged else _STATES[gate.severity][1],
        words.plain(gate.kind.removeprefix("gate_")),
        gate.message,
        Number(gate.value, "" if gate.value is None else words.number(gate.value)),
        Number(gate.threshold, "" if gate.threshold is None else words.number(gate.threshold)),
    )


def _marking(view: RunView) -> list[tuple[Cell, ...]]:
    """One row a layer that tells others that a picture is generated; the job says which are on for every file."""
    govern = view.spec.get("governance")
    if not isinstance(govern, Mapping):
        return []
    layers = (("XMP note", "xmp"), ("watermark", "watermark"))
    files = several(view.counts.generated, "file")
    rows: list[tuple[Cell, ...]] = []
    for layer, key in layers:
        on = govern.get(key, "none") not in ("none", False)
        told = f"The job puts it into every file ({files})." if on else "The job leaves it out."
        rows.append((Mark("good", "On") if on else Mark("none", "Off"), layer, told))
    wanted = govern.get("c2pa", "none") != "none"
    told = "The job asks for it, but qcgen cannot sign files yet." if wanted else "The job leaves it out."
    rows.insert(1, (Mark("none", "Off"), "C2PA signature", told))
    return rows
