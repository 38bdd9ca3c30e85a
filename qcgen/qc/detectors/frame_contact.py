"""Products on a plain ground that the frame cuts off."""

from typing import ClassVar

from qcgen.qc.evidence import Evidence, box_of, mask_heat, widened
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32


class FrameContact:
    """Share of a ring along the frame that belongs to the product: the largest blob that differs from the ground.

    The ring is 2 cells wide. For plain grounds: on scenes the largest blob is whatever has not the frame's colour, and
    `border_crop` sees more. Blind where the product fills most of the frame, for then it passes as the ground.
    """

    name: ClassVar[str] = "frame_contact"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        planes = batch.planes
        return scored(planes.ring(planes.foreground.main).double().mean(1), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        main = batch.planes.foreground.main[index]
        touched = main & batch.planes.in_ring(main)
        return Evidence(
            "Marked: where the product reaches the frame. The box is around the product.",
            mask_heat(widened(touched, 1), "places"),
            boxes=(box_of(main, "product"),),
        )
