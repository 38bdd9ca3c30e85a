"""What this report does not know: as important as what it says."""

from typing import ClassVar

from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.protocol import Block, Bullets, Column, Number, Section, Table
from qcgen.report.runview import RunView

_Gap = tuple[str, str]


class NotChecked:
    name: ClassVar[str] = "not-checked"
    order: ClassVar[int] = 90

    def build(self, view: RunView) -> Section:
        gaps = (*_items(view), *_missed(view), *_files(view), *_always(view))
        blocks: list[Block] = [Bullets(gaps)]
        if view.unscored:
            ranked = sorted(view.unscored.items(), key=lambda pair: (-pair[1], pair[0]))
            rows = tuple(
                (name, words.plain(why), Number(images, words.count(images))) for (name, why), images in ranked
            )
            columns = (Column("Detector"), Column("Had nothing to say because"), Column("Images", True))
            blocks.append(Table("unscored", "Images that a detector could not score", columns, rows))
        return Section(self.name, "What was not checked", "", tuple(blocks))


def _items(view: RunView) -> tuple[_Gap, ...]:
    missing, failed = view.counts.missing, view.counts.failed
    found: list[_Gap] = []
    if missing:
        text = f"{several(missing, 'planned item has', 'planned items have')} no result and count only as planned."
        found.append(("Missing items", text))
    if failed:
        text = f"{several(failed, 'item has', 'items have')} no picture, so nothing could be measured on it."
        found.append(("Failed items", text))
    return tuple(found)


def _missed(view: RunView) -> tuple[_Gap, ...]:
    if view.missed.of:
        text = (
            f"The bound of {words.percent(view.missed_upper)} holds if the {words.count(view.missed.of)} audited "
            "images were drawn at random from the accepted ones and the people who looked made no mistakes."
        )
    elif view.counts.accepted:
        text = "No person has looked at an accepted image: the share of defects that the detectors missed is unknown."
    else:
        return ()
    return (("Missed defects", text),)


def _files(view: RunView) -> tuple[_Gap, ...]:
    if not view.lost_pictures:
        return ()
    lost = several(view.lost_pictures, "image")
    return (("Files", f"{lost} could not be read for a thumbnail: moved, deleted or damaged after the run."),)


def _always(view: RunView) -> tuple[_Gap, ...]:
    measured = several(len(view.histograms), "detector")
    return (
        ("Detectors", f"{measured} measured this run. A defect that none of them looks for passes unseen."),
        (
            "Interval",
            "It treats items as independent draws of one process and says nothing of nights with another model, policy "
            "or catalogue.",
        ),
        (
            "Approvals",
            "Whether people approved the model and the policy, and whether incidents are open, is not kept here.",
        ),
        ("Rights", "Whether a picture resembles a protected work or person is not examined here."),
    )
