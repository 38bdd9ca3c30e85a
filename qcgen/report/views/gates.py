"""What may stop the batch as a whole."""

from typing import ClassVar

from qcgen.core.types import Severity
from qcgen.report import words
from qcgen.report.protocol import Block, Column, Mark, Number, Section, Table, Text
from qcgen.report.runview import RunView

_STATES = {
    Severity.BLOCK: (0, Mark("bad", "Blocks")),
    Severity.WARN: (1, Mark("warn", "Needs a look")),
    Severity.INFO: (2, Mark("good", "In order")),
}
_LEARNING = Mark("none", "Learning")


class Gates:
    name: ClassVar[str] = "gates"
    order: ClassVar[int] = 20

    def build(self, view: RunView) -> Section:
        gates = sorted(view.run.gates, key=lambda gate: (_STATES[gate.severity][0], gate.kind))
        blocks: tuple[Block, ...] = (
            Text("The run carries no gate result, so nothing here stops it and nothing clears it."),
        )
        if gates:
            columns = (
                Column("State"),
                Column("Gate"),
                Column("What was found"),
                Column("Value", True),
                Column("Limit", True),
            )
            rows = tuple(
                (
                    _LEARNING
                    if gate.severity is Severity.INFO and gate.threshold is None
                    else _STATES[gate.severity][1],
                    words.plain(gate.kind.removeprefix("gate_")),
                    gate.message,
                    Number(gate.value, "" if gate.value is None else words.number(gate.value)),
                    Number(gate.threshold, "" if gate.threshold is None else words.number(gate.threshold)),
                )
                for gate in gates
            )
            blocks = (Table("gates", "Gates of this run", columns, rows),)
        red = sum(gate.severity is Severity.BLOCK for gate in gates)
        yellow = sum(gate.severity is Severity.WARN for gate in gates)
        lead = "No gate objects." if gates and not red + yellow else ""
        if red or yellow:
            found = [f"{words.several(red, 'gate blocks', 'gates block')}"] * bool(red)
            found += [f"{words.several(yellow, 'gate asks', 'gates ask')} for a look"] * bool(yellow)
            lead = f"{' and '.join(found)}."
        return Section("gates", "Gates", lead, blocks)
