"""Why images were not accepted, most frequent reason first."""

from typing import ClassVar
from urllib.parse import quote

from qcgen.core.wording import several
from qcgen.report import svg, words
from qcgen.report.protocol import Block, Column, Figure, Link, Number, Section, Table, Text
from qcgen.report.runview import Reason, RunView

_DRAWN = 12


class Pareto:
    name: ClassVar[str] = "reasons"
    order: ClassVar[int] = 30

    def build(self, view: RunView) -> Section:
        named = [reason for reason in view.reasons if reason.images > reason.accepted]
        stopped = view.counts.flagged + view.counts.rejected + view.counts.failed
        title = "Why images were not accepted"
        if not named:
            text = "Every finished image was accepted." if view.counts.finished else "No image has been judged yet."
            return Section("reasons", title, "", (Text(text),))
        top = named[0]
        lead = (
            f"{several(stopped, 'item was', 'items were')} not accepted; the most frequent reason is "
            f"{words.plain(top.kind)} ({several(_stopped(top), 'item')}). An image can have several reasons."
        )
        chart = svg.bars("pareto", title, [(words.plain(reason.kind), _parts(reason)) for reason in named[:_DRAWN]])
        columns = (
            Column("Reason"),
            Column("Items", True),
            Column("Share", True),
            Column("Rejected", True),
            Column("Flagged", True),
            Column("Failed", True),
            Column("For example"),
        )
        rows = tuple(
            (
                Link(words.plain(reason.kind), f"grid.html#reason={quote(reason.kind, safe='')}"),
                Number(_stopped(reason), words.count(_stopped(reason))),
                Number(_stopped(reason) / stopped, words.percent(_stopped(reason) / stopped)),
                Number(reason.rejected, words.count(reason.rejected)),
                Number(reason.flagged, words.count(reason.flagged)),
                Number(reason.failed, words.count(reason.failed)),
                reason.example,
            )
            for reason in named
        )
        table = Table("reasons", "Reasons; share of the items that were not accepted", columns, rows)
        note = "Bars: rejected (diagonal hatching), flagged (dots), failed (plain)."
        blocks: tuple[Block, ...] = (Figure("Items by reason", chart, table, note),)
        return Section("reasons", title, lead, blocks)


def _stopped(reason: Reason) -> int:
    return reason.images - reason.accepted


def _parts(reason: Reason) -> tuple[svg.Part, ...]:
    return (svg.Part("bad", reason.rejected), svg.Part("warn", reason.flagged), svg.Part("none", reason.failed))
