"""Grain, measured where the picture is flattest."""

from typing import ClassVar

import torch

from qcgen.qc.planes import IMMERKAER, tile_means
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_QUANTILE = 0.10
_CLIPPED_SHARE = 0.05
_FEWEST_TILES = 0.1


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
        tile = 16 if short_side(batch) >= 96 else 4
        if short_side(batch) < 4 * tile + 2:
            return unscored(batch, "too_small")
        sigma = IMMERKAER * tile_means(batch.planes.residual, tile).flatten(1)
        inner = batch.luma[:, 1:-1, 1:-1]
        clipped = ((inner < 1) | (inner > 254)).float()
        usable = tile_means(clipped, tile).flatten(1) <= _CLIPPED_SHARE
        ordered = torch.where(usable, sigma, torch.inf).sort(dim=1).values
        count = usable.sum(1)
        at = ((count - 1).clamp(min=0) * _QUANTILE).long()
        values = ordered.gather(1, at[:, None])[:, 0]
        few = count < _FEWEST_TILES * usable.shape[1]
        return scored(torch.where(few, 0.0, values), self.range, saturated=few)
