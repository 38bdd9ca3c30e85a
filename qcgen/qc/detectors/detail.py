"""Surfaces without texture: over-smoothed, plastic."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.evidence import Evidence, heat, laid_out
from qcgen.qc.planes import some_at_a_time, tile_means
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_FLAT = 4.0
_TEXTURED = 0.05


class Detail:
    """Share of luma's variance that a gaussian of 1.5 px takes away: the median over tiles.

    Tiles of 16 px (8 px below a side of 96) with a variance above 4 codes squared; the median tile has no strong edge,
    so this is about surfaces. White noise has 0.9, a ramp 0. Noise hides smoothing, glossy and plain goods are smooth
    by right: compare within one kind of product. `flat` where no tile varies.
    """

    name: ClassVar[str] = "detail"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        share = _taken(batch).flatten(1)
        median = share.nanmedian(1).values
        flat = median.isnan()
        return scored(median.nan_to_num(), self.range, flat=flat)

    def explain(self, batch: Batch, index: int) -> Evidence:
        share = _taken(batch)[index]
        smooth = (_TEXTURED - share.nan_to_num(nan=1.0)).clamp(min=0)
        return Evidence(
            "Marked: surfaces that vary and yet have no fine texture.",
            heat(laid_out(smooth, batch, side=_tile(batch)), 0.0, _TEXTURED, "fraction of the variance missing"),
            facts=(("surfaces that vary", f"{float((~share.isnan()).double().mean()):.0%} of the picture"),),
        )


def _tile(batch: Batch) -> int:
    return 16 if short_side(batch) >= 96 else 8


def _taken(batch: Batch) -> Float[Tensor, "b rows columns"]:
    """Share of each tile's variance that the gaussian takes; no number where a tile does not vary."""
    tile = _tile(batch)
    variance = some_at_a_time(lambda luma: _variance(luma, tile), batch.luma)
    taken = some_at_a_time(lambda plane: tile_means(plane.square(), tile), batch.planes.high_pass)
    return torch.where(variance > _FLAT, taken / variance.clamp(min=1e-6), torch.nan)


def _variance(luma: Float[Tensor, "b h w"], tile: int) -> Float[Tensor, "b rows columns"]:
    # Around mid grey, where float32 squares are exact enough for a variance of a few codes.
    centred = luma - 128
    mean = tile_means(centred, tile)
    return tile_means(centred.square_(), tile) - mean.square_()
