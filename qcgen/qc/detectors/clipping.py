"""Burnt highlights and drowned shadows on the garment."""

from typing import ClassVar

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
        # Less two, 0 and 1 become 254 and 255: one comparison finds both ends.
        red, green, blue = (batch.images - 2).unbind(1)
        ended = red.maximum(green).maximum(blue) >= 252
        return scored(ended.float().flatten(1).mean(1), self.range)
