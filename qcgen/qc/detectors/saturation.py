"""Colours too strong or too weak."""

from typing import ClassVar

import torch

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats, heat
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_SCARCE = 0.01
_STRONG, _GAUDY = 60.0, 120.0
_BINS, _MOST = 30, 150.0


class Saturation:
    """Mean CIELAB chroma of the foreground: what has not the colour of the frame.

    Both ends are faults, gaudy and faded; which chroma is right depends on the kind of product, so the value means
    little without a reference of the same kind (over-saturation by half is found no better than by chance without).
    `no_foreground` where less than a hundredth stands out from the frame.
    """

    name: ClassVar[str] = "saturation"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "CIELAB chroma"
    range: ClassVar[tuple[float, float]] = (0.0, 150.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        mask = batch.planes.foreground.mask.flatten(1)
        count = mask.sum(1)
        mean = (batch.planes.chroma.flatten(1) * mask).sum(1).double() / count.clamp(min=1)
        return scored(mean, self.range, no_foreground=count < _SCARCE * mask.shape[1])

    def explain(self, batch: Batch, index: int) -> Evidence:
        mask, chroma = batch.planes.foreground.mask[index], batch.planes.chroma[index]
        inside = chroma[mask].double().cpu()
        shares = 100 * torch.histc(inside, _BINS, 0, _MOST) / max(1, len(inside))
        middles = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * _MOST / _BINS
        return Evidence(
            "Marked: gaudy colours on the product. The chart has the product's colours, grey at the left.",
            heat(torch.where(mask, chroma, 0), _STRONG, _GAUDY, self.unit),
            Curve(
                floats(middles),
                (Line("of the product", floats(shares)),),
                self.unit,
                "%",
                marks=(float(inside.mean()),),
                filled=True,
            ),
        )
