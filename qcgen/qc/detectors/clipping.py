"""Burnt highlights and drowned shadows on the garment."""

from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from qcgen.qc.evidence import Evidence, mask_heat
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored


class Clipping:
    """Share of pixels with a channel at its end: at most 1 or at least 254 of 255.

    Of the whole picture; the profile's floor leaves room for white grounds and black cloth.
    """

    name: ClassVar[str] = "clipping"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < 8:
            return unscored(batch, "too_small")
        return scored(_ended(batch).float().flatten(1).mean(1), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        ended, image = _ended(batch)[index], batch.images[index]
        burnt, drowned = ((image >= 254).any(0), (image <= 1).any(0))
        return Evidence(
            "Marked: pixels with a channel at its end, where the picture has lost what was there.",
            mask_heat(ended, "pixels"),
            facts=(
                ("burnt", f"{float(burnt.double().mean()):.1%} of the picture"),
                ("drowned", f"{float(drowned.double().mean()):.1%} of the picture"),
            ),
        )


def _ended(batch: Batch) -> Bool[Tensor, "b h w"]:
    # Less two, 0 and 1 become 254 and 255: one comparison finds both ends.
    red, green, blue = (batch.images - 2).unbind(1)
    return red.maximum(green).maximum(blue) >= 252
