"""Products that stand off the middle."""

from typing import ClassVar

import torch

from qcgen.core.evidence import Box
from qcgen.qc.evidence import Evidence, box_of
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_SCARCE = 0.001
_SPOT = 0.02
_CROSS = (Box(0.46, 0.5, 0.54, 0.5, "middle"), Box(0.5, 0.46, 0.5, 0.54, "middle"))


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

    def explain(self, batch: Batch, index: int) -> Evidence:
        main = batch.planes.foreground.main[index]
        down, across = (_place(main[None].sum(dim))[0] for dim in (2, 1))
        x, y = (1 + float(across)) / 2, (1 + float(down)) / 2
        return Evidence(
            "The large box is around the product, the small one at its centre of area, the cross in the middle.",
            boxes=(box_of(main, "product"), _spot(x, y, "centre"), *_CROSS),
            facts=(
                ("off the middle across", f"{float(across):+.0%} of half the width"),
                ("off the middle down", f"{float(down):+.0%} of half the height"),
            ),
        )


def _spot(x: float, y: float, label: str) -> Box:
    return Box(max(0.0, x - _SPOT), max(0.0, y - _SPOT), min(1.0, x + _SPOT), min(1.0, y + _SPOT), label)


def _offset(weights: torch.Tensor) -> torch.Tensor:
    """Of each row's weighted mean place from its middle, in half lengths."""
    return _place(weights).abs()


def _place(weights: torch.Tensor) -> torch.Tensor:
    """The same with its sign: negative is left or up."""
    length = weights.shape[1]
    place = (2 * torch.arange(length, device=weights.device, dtype=torch.float64) + 1 - length) / length
    return (weights * place).sum(1) / weights.sum(1).clamp(min=1)
