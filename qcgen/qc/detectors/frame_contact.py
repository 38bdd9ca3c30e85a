"""Products on a plain ground that the frame cuts off."""

from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from qcgen.qc.evidence import Evidence, box_of, mask_heat, widened
from qcgen.qc.planes import Planes, foreground_on
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_ALIKE = 2.0
"""The eye sees no difference below (CIE 1976): a bright place of a scene is seldom so near to the wanted ground."""
_LEAST = 0.1
"""So much of the ring must be the wanted ground."""


class FrameContact:
    """Share of a ring along the frame that belongs to the product: the largest blob that differs from the ground.

    The ring is 2 cells wide; its median colour is the ground. Where that colour fills the middle too and a tenth of the
    ring is the profile's ground (`Batch.background`), the product fills the frame, and the profile's ground counts. For
    plain grounds: on scenes the largest blob is whatever has not the frame's colour, and `border_crop` sees more.
    Blind where a product of one colour leaves nothing of the ground.
    """

    name: ClassVar[str] = "frame_contact"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        return scored(batch.planes.ring(_product(batch)).double().mean(1), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        main = _product(batch)[index]
        touched = main & batch.planes.in_ring(main)
        return Evidence(
            "Marked: where the product reaches the frame. The box is around the product.",
            mask_heat(widened(touched, 1), "places"),
            boxes=(box_of(main, "product"),),
        )


def _product(batch: Batch) -> Bool[Tensor, "b hh ww"]:
    planes, wanted = batch.planes, batch.wanted_ground
    there = (planes.ground.ring - wanted).norm(dim=2) <= _ALIKE
    filled = (there.double().mean(1) >= _LEAST) & _fills_the_middle(planes)
    if not filled.any():
        return planes.foreground.main
    main = planes.foreground.main.clone()
    main[filled] = foreground_on(planes.lab[filled], wanted.expand(int(filled.sum()), 3)).main
    return main


def _fills_the_middle(planes: Planes) -> Bool[Tensor, " b"]:
    """Whether the ground's colour has at least the share of the middle half that it has of the ring."""
    alike = ~planes.foreground.mask
    height, width = alike.shape[1:]
    middle = alike[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    return middle.flatten(1).double().mean(1) >= planes.ring(alike).double().mean(1)
