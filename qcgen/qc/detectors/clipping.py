"""Burnt highlights and drowned shadows on the garment."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qcgen.qc.evidence import Evidence, mask_heat, sized
from qcgen.qc.planes import tile_means
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_GROUND = 0.75


class Clipping:
    """Share of pixels with a channel at its end: at most 1 or at least 254 of 255.

    Of the whole picture; where three quarters of the ring along the frame are at their end, that is the ground of a
    packshot, and only what differs from it counts. The profile's floor leaves room for black cloth.
    """

    name: ClassVar[str] = "clipping"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        ended = _ended(batch).float()
        whole = ended.flatten(1).mean(1)
        cells = tile_means(ended, batch.planes.cell_px)
        on_ground = _on_ground(batch, cells)
        if not on_ground.any():
            return scored(whole, self.range)
        return scored(torch.where(on_ground, _of_product(batch, cells, whole), whole), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        ended, image = _ended(batch), batch.images[index]
        marked, where = ended[index], "the picture"
        if _on_ground(batch, tile_means(ended.float(), batch.planes.cell_px))[index]:
            marked, where = marked & sized(batch.planes.foreground.mask[index], batch), "the product"
        burnt, drowned = (float((marked & one.any(0)).double().mean()) for one in (image >= 254, image <= 1))
        return Evidence(
            f"Marked: pixels of {where} with a channel at its end, where what was there is lost.",
            mask_heat(marked, "pixels"),
            facts=(("burnt", f"{burnt:.1%} of the picture"), ("drowned", f"{drowned:.1%} of the picture")),
        )


def _ended(batch: Batch) -> Bool[Tensor, "b h w"]:
    # Less two, 0 and 1 become 254 and 255: one comparison finds both ends.
    red, green, blue = (batch.images - 2).unbind(1)
    return red.maximum(green).maximum(blue) >= 252


def _on_ground(batch: Batch, cells: Float[Tensor, "b hh ww"]) -> Bool[Tensor, " b"]:
    return batch.planes.ring(cells).mean(1) >= _GROUND


def _of_product(batch: Batch, cells: Float[Tensor, "b hh ww"], whole: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Over the cells that differ from the ground; the whole picture's share where none does."""
    product = batch.planes.foreground.mask
    count = product.sum((1, 2))
    return torch.where(count > 0, (cells * product).sum((1, 2)) / count.clamp(min=1), whole)
