"""A tint over the whole picture."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Swatch
from qcgen.qc.evidence import Evidence, heat, hex_of
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SIDE = 64
_GREYISH = 8.0
_DARKEST = 15.0
_FAINT, _STRONG = 2.0, 12.0


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
        lab, weights = _weighted(batch)
        light, a, b = lab.unbind(-1)
        dark = ~(light > _DARKEST).any(1)
        total = weights.sum(1).clamp(min=1e-12)
        tint = torch.hypot((weights * a).sum(1) / total, (weights * b).sum(1) / total)
        return scored(torch.where(dark, 0.0, tint), self.range, no_light=dark)

    def explain(self, batch: Batch, index: int) -> Evidence:
        found, weights = (plane[index] for plane in _weighted(batch))
        mean = (weights[:, None] * found).sum(0) / weights.sum().clamp(min=1e-12)
        grey = torch.stack([mean[0], torch.zeros_like(mean[1]), torch.zeros_like(mean[2])])
        side = min(_SIDE, short_side(batch))
        tint = (weights * torch.hypot(found[:, 1], found[:, 2])).reshape(side, side)
        return Evidence(
            "Marked: the areas nearest to grey, by how far from grey they still are. Without a tint they are grey.",
            heat(tint, _FAINT, _STRONG, self.unit),
            swatches=(Swatch("found where grey is nearest", hex_of(mean)), Swatch("grey as light", hex_of(grey))),
            facts=(
                ("a (red +, green -)", f"{float(mean[1]):+.1f}"),
                ("b (yellow +, blue -)", f"{float(mean[2]):+.1f}"),
            ),
        )


def _weighted(batch: Batch) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n"]]:
    """Lab of each area, and how much it counts as grey: 1 for the nearest one, 0 for dark ones."""
    lab = batch.planes.area_lab(min(_SIDE, short_side(batch))).flatten(2).transpose(1, 2)
    light, a, b = lab.unbind(-1)
    energy = torch.where(light > _DARKEST, (a**2 + b**2) / (2 * _GREYISH**2), torch.inf)
    # Shifted by the smallest energy, so that a picture without any grey still has weights that do not vanish.
    least = energy.amin(1, keepdim=True).nan_to_num(posinf=0.0)
    return lab, torch.exp(least - energy)
