"""This job's pass rate over its last runs."""

from typing import ClassVar

from qcgen.core.wording import several
from qcgen.report import svg, words
from qcgen.report.protocol import Column, Figure, Mark, Number, Section, Table, Text
from qcgen.report.runview import Night, RunView

# Below this many runs the scatter between runs is not known, so limits would be invented.
_ENOUGH = 20


class History:
    name: ClassVar[str] = "history"
    order: ClassVar[int] = 70

    def build(self, view: RunView) -> Section:
        title = "Over the last runs"
        if len(view.nights) < 2:
            return Section("history", title, "", (Text("This is the first recorded run of this job."),))
        rates = sorted(
            night.passed.rate for night in view.nights[:-1] if night.passed and night.passed.rate is not None
        )
        middle = (rates[(len(rates) - 1) // 2] + rates[len(rates) // 2]) / 2 if rates else None
        points = [_point(night) for night in view.nights]
        chart = svg.sparkline("nights", "Pass rate of the last runs in per cent", points, middle=middle)
        columns = (
            Column("Started"),
            Column("Run"),
            Column("Finished items", True),
            Column("Pass rate", True),
            Column("95 % interval", True),
            Column("Changed"),
        )
        rows = tuple(
            (
                night.started_at[:16].replace("T", "\u00a0"),
                night.run_id[:12],
                Number(night.passed.of if night.passed else None, words.count(night.passed.of) if night.passed else ""),
                Number(
                    night.passed.rate if night.passed else None,
                    words.percent(night.passed.rate) if night.passed else "report gone",
                ),
                words.interval(night.passed) if night.passed else "",
                Mark("warn", ", ".join(night.changes)) if night.changes else "",
            )
            for night in reversed(view.nights)
        )
        gone = sum(night.passed is None for night in view.nights)
        note = "Dashed: median of the earlier runs. A triangle marks a change of model, policy or job."
        if len(rates) < _ENOUGH:
            note += f" No control limits: they need {_ENOUGH} earlier runs."
        if gone:
            note += f" {several(gone, 'run has', 'runs have')} no report any more: shown as “?”."
        lead = f"{several(len(view.nights), 'run')} of {view.run.name}, newest at the right."
        return Section(
            "history",
            title,
            lead,
            (
                Figure(
                    "Pass rate",
                    chart,
                    Table("nights", "Runs, newest first", columns, rows, folded=len(rows) > 12),
                    note,
                ),
            ),
        )


def _point(night: Night) -> svg.Point:
    if night.passed is None or night.passed.rate is None:
        return svg.Point(None, 0.0, 0.0, bool(night.changes))
    return svg.Point(night.passed.rate, night.passed.low, night.passed.high, bool(night.changes))
