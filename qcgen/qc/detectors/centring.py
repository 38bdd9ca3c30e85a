"""Products that stand off the middle."""

from typing import ClassVar

import torch

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_SCARCE = 0.001


class Centring:
    """How far the product's centre of area lies from the frame's middle, along the worse axis: 0 there, 1 at the edge.

    The product is the largest connected blob that has not the colour of the frame: right on plain grounds only.
    `no_foreground` where that is less than a thousandth of the picture.
    """

    name: ClassVar[str] = "centring"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction of half a side"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        main = batch.planes.foreground.main
        offsets = torch.stack([_offset(main.sum(2)), _offset(main.sum(1))]).amax(0)
        return scored(offsets, self.range, no_foreground=main.flatten(1).double().mean(1) < _SCARCE)


def _offset(weights: torch.Tensor) -> torch.Tensor:
    """Of each row's weighted mean place from its middle, in half lengths."""
    length = weights.shape[1]
    place = (2 * torch.arange(length, device=weights.device, dtype=torch.float64) + 1 - length) / length
    return ((weights * place).sum(1) / weights.sum(1).clamp(min=1)).abs()
