"""Colours so strong that the screen has no more of them."""

from typing import ClassVar

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats, mask_heat, sized
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_SCARCE = 0.01
_COLOURED = 24
_BINS, _MOST = 30, 150.0


class Saturation:
    """Share of the foreground's pixels that are coloured and have a channel at its end: at most 1 or at least 254.

    Coloured: 24 codes or more between the channels. Photographed cloth and wares seldom reach the edge of what a screen
    can show, however strong their colours are; pixels that were pushed there stay there. The foreground is what has not
    the colour of the frame; one pixel of each of its cells is read. The mean chroma is shown only, since which is right
    depends on the kind of product. `no_foreground` where less than a hundredth stands out from the frame.
    """

    name: ClassVar[str] = "saturation"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        mask = batch.planes.foreground.mask.flatten(1)
        edge = _at_the_edge(_sampled(batch)).flatten(1)
        count = mask.sum(1)
        share = (edge & mask).sum(1).double() / count.clamp(min=1)
        return scored(share, self.range, no_foreground=count < _SCARCE * mask.shape[1])

    def explain(self, batch: Batch, index: int) -> Evidence:
        mask, chroma = batch.planes.foreground.mask[index], batch.planes.chroma[index]
        edge = _at_the_edge(batch.images[index : index + 1])[0]
        inside = chroma[mask].double().cpu()
        shares = 100 * torch.histc(inside, _BINS, 0, _MOST) / max(1, len(inside))
        middles = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * _MOST / _BINS
        return Evidence(
            "Marked: colours at the edge of what a screen can show. The chart has the whole product, grey left.",
            mask_heat(edge & sized(mask, batch), "pixels"),
            Curve(
                floats(middles),
                (Line("of the product", floats(shares)),),
                "CIELAB chroma",
                "%",
                marks=(float(inside.mean()),),
                filled=True,
            ),
        )


def _sampled(batch: Batch) -> UInt8[Tensor, "b 3 hh ww"]:
    """One pixel of each cell of the foreground's mask: enough for a share, and a tenth of the time."""
    side = batch.planes.cell_px
    height, width = (length // side * side for length in batch.images.shape[2:])
    return batch.images[:, :, side // 2 : height : side, side // 2 : width : side].contiguous()


def _at_the_edge(images: UInt8[Tensor, "b 3 h w"]) -> Bool[Tensor, "b h w"]:
    red, green, blue = images.unbind(1)
    most, least = red.maximum(green).maximum(blue), red.minimum(green).minimum(blue)
    return ((most >= 254) | (least <= 1)) & (most - least >= _COLOURED)
