"""Grain, measured where the picture is flattest."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats, heat, laid_out
from qcgen.qc.planes import IMMERKAER, some_at_a_time, tile_means
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_QUANTILE = 0.10
_CLIPPED_SHARE = 0.05
_FEWEST_TILES = 0.1
_FLATTEST = 0.25
_FAINT_CODES, _STRONG_CODES = 1.5, 10.0


class Noise:
    """Low quantile over tiles of Immerkaer's noise sigma, in codes of luma.

    Fabric is texture, not noise: only the flattest tenth of the tiles (16 px; 4 px below a side of 96) counts. Tiles
    with clipped pixels are left out, since clipping hides noise; `saturated` where few tiles remain.

    Source: Immerkaer 1996, "Fast noise variance estimation".
    """

    name: ClassVar[str] = "noise"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "codes"
    range: ClassVar[tuple[float, float]] = (0.0, 255.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < 4 * _tile(batch) + 2:
            return unscored(batch, "too_small")
        sigma, usable = (plane.flatten(1) for plane in _tiles(batch))
        ordered = torch.where(usable, sigma, torch.inf).sort(dim=1).values
        count = usable.sum(1)
        at = ((count - 1).clamp(min=0) * _QUANTILE).long()
        values = ordered.gather(1, at[:, None])[:, 0]
        few = count < _FEWEST_TILES * usable.shape[1]
        return scored(torch.where(few, 0.0, values), self.range, saturated=few)

    def explain(self, batch: Batch, index: int) -> Evidence:
        sigma, usable = (plane[index] for plane in _tiles(batch))
        ordered = sigma[usable].sort().values
        flattest = usable & (sigma <= ordered[int((len(ordered) - 1) * _FLATTEST)])
        share = 100 * (torch.arange(len(ordered), dtype=torch.float64) + 0.5) / len(ordered)
        return Evidence(
            "Marked: grain in the flattest quarter of the tiles; a clean picture has none there.",
            heat(
                laid_out(torch.where(flattest, sigma, 0), batch, top=1, left=1, side=_tile(batch)),
                _FAINT_CODES,
                _STRONG_CODES,
                "codes",
            ),
            Curve(
                floats(share),
                (Line("noise of each tile", floats(ordered)),),
                "tiles, flattest first, %",
                "codes",
                marks=(100 * _QUANTILE,),
            ),
        )


def _tile(batch: Batch) -> int:
    return 16 if short_side(batch) >= 96 else 4


def _tiles(batch: Batch) -> tuple[Float[Tensor, "b rows columns"], Bool[Tensor, "b rows columns"]]:
    """Each tile's sigma, and whether it counts."""
    tile = _tile(batch)
    clipped = some_at_a_time(lambda inner: tile_means(_clipped(inner), tile), batch.luma[:, 1:-1, 1:-1])
    return IMMERKAER * tile_means(batch.planes.residual, tile), clipped <= _CLIPPED_SHARE


def _clipped(luma: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    # What clamping changes is clipped; comparing takes a CPU several times as long.
    return (luma.clamp(1, 254) - luma).bool().float()
