"""A tint over the whole picture."""

from typing import ClassVar

import torch

from qcgen.qc.colour import to_lab
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SIDE = 64
_GREYISH = 8.0
_DARKEST = 15.0


class ColourCast:
    """Distance from grey, in Lab, of the picture's most nearly grey areas.

    Most scenes hold something neutral: a wall, a shadow, a label, a packshot's ground. Its mean chroma, weighted
    towards grey, is near 0 without a tint. Fires by right on scenes of one colour, so a calibration is per catalogue;
    burnt areas are white and hide a tint elsewhere; `no_light` where all is black.
    """

    name: ClassVar[str] = "colour_cast"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "delta E 1976"
    range: ClassVar[tuple[float, float]] = (0.0, 150.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < 8:
            return unscored(batch, "too_small")
        side = min(_SIDE, short_side(batch))
        small = batch.planes.area(side).double() / 255
        light, a, b = to_lab(small.permute(0, 2, 3, 1)).flatten(1, 2).unbind(-1)
        lit = light > _DARKEST
        energy = torch.where(lit, (a**2 + b**2) / (2 * _GREYISH**2), torch.inf)
        dark = ~lit.any(1)
        # Shifted by the smallest energy, so that a picture without any grey still has weights that do not vanish.
        least = energy.amin(1, keepdim=True).nan_to_num(posinf=0.0)
        weights = torch.exp(least - energy)
        total = weights.sum(1).clamp(min=1e-12)
        tint = torch.hypot((weights * a).sum(1) / total, (weights * b).sum(1) / total)
        return scored(torch.where(dark, 0.0, tint), self.range, no_light=dark)
