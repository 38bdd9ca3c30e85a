"""Dirt on the ground beside the product."""

from typing import ClassVar

import torch

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 64
_LARGEST = 0.002


class Speckles:
    """How many small blobs that have not the colour of the frame are not connected with the product.

    Small is at most two thousandths of the picture: the other shoe of a pair is none. The smallest that counts is a
    hundredth of the short side, if it contrasts. Counts the texture of scenes and of patterned grounds too.
    """

    name: ClassVar[str] = "speckles"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "count"
    range: ClassVar[tuple[float, float]] = (0.0, 10_000.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        found = batch.planes.foreground
        cells = found.mask[0].numel()
        small = [int((size <= _LARGEST * cells).sum()) for size in found.sizes]
        # A product that small is no speckle of itself.
        alone = [int(len(size) > 0 and int(size.max()) <= _LARGEST * cells) for size in found.sizes]
        counts = [count - one for count, one in zip(small, alone, strict=True)]
        return scored(torch.tensor(counts, dtype=torch.float64), self.range)
