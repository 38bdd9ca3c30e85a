"""Products that are too small in the frame."""

from typing import ClassVar

import torch

from qcgen.qc.evidence import Evidence, box_of
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_SCARCE = 0.001


class Occupancy:
    """How much of the frame's height or width, whichever is more, the product spans.

    The product is the largest connected blob that has not the colour of the frame: right on plain grounds only.
    `no_foreground` where that is less than a thousandth of the picture.
    """

    name: ClassVar[str] = "occupancy"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        main = batch.planes.foreground.main
        spans = torch.stack([_span(main.any(2)), _span(main.any(1))]).amax(0)
        return scored(spans, self.range, no_foreground=main.flatten(1).double().mean(1) < _SCARCE)

    def explain(self, batch: Batch, index: int) -> Evidence:
        box = box_of(batch.planes.foreground.main[index], "product")
        return Evidence(
            "The box is around the product: the largest thing that has not the colour of the frame.",
            boxes=(box,),
            facts=(("width", f"{box.right - box.left:.0%}"), ("height", f"{box.bottom - box.top:.0%}")),
        )


def _span(line: torch.Tensor) -> torch.Tensor:
    """From the first to the last cell of each row that is set, as a share of the row."""
    length = line.shape[1]
    place = torch.arange(length, device=line.device)
    first = torch.where(line, place, length).amin(1)
    last = torch.where(line, place, -1).amax(1)
    return (last + 1 - first).clamp(min=0).double() / length
