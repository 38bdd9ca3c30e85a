"""The images that most need eyes."""

from typing import ClassVar

from qcgen.core.types import Outcome
from qcgen.report import words
from qcgen.report.evidence import exhibits
from qcgen.report.protocol import (
    Block,
    Case,
    Cases,
    Column,
    Gallery,
    Mark,
    Number,
    Picture,
    Section,
    Table,
    Text,
)
from qcgen.report.runview import RunView, Worst

_MARKS = {
    Outcome.ACCEPT: Mark("good", "Accepted"),
    Outcome.REVIEW: Mark("warn", "Review"),
    Outcome.REJECT: Mark("bad", "Rejected"),
    Outcome.FAILED: Mark("none", "Failed"),
}


class WorstImages:
    name: ClassVar[str] = "worst"
    order: ClassVar[int] = 45

    def build(self, view: RunView) -> Section:
        title = "The most doubtful images"
        if not view.worst:
            return Section("worst", title, "", (Text("There is no image to show."),))
        lead = (
            "Rejected first, then flagged, then accepted ones near a limit. Click for full size. A check that speaks "
            "against an image shows where or how; its colours mean the same in every image."
        )
        columns = (
            Column("Image"),
            Column("SKU"),
            Column("Prompt"),
            Column("Seed", True),
            Column("Attempt", True),
            Column("Verdict"),
            Column("Joint p", True),
            Column("Reasons"),
        )
        rows = tuple(
            (
                one.image_id,
                one.sku,
                one.prompt,
                Number(one.seed, str(one.seed)),
                Number(one.attempt, str(one.attempt)),
                _MARKS[one.outcome],
                Number(one.joint_p, "" if one.joint_p is None else words.number(one.joint_p)),
                "; ".join(one.messages),
            )
            for one in view.worst
        )
        table = Table("worst", "The same images as a table", columns, rows, folded=True)
        shown = tuple(
            Case(_picture(one), exhibits(f"worst-{one.image_id}", one.evidence)) for one in view.worst if one.evidence
        )
        rest = tuple(_picture(one) for one in view.worst if not one.evidence)
        blocks: tuple[Block, ...] = (Gallery(rest, table),) if rest else (table,)
        return Section("worst", title, lead, ((Cases(shown),) if shown else ()) + blocks)


def _picture(one: Worst) -> Picture:
    lines = [one.prompt, *one.messages[:2]]
    if len(one.messages) > 2:
        lines.append(f"and {len(one.messages) - 2} more")
    if one.decision:
        lines.append(f"A person decided: {one.decision}")
    return Picture(one.thumbnail, one.href, one.sku, _MARKS[one.outcome], tuple(lines))
