"""Grounds of another colour than the catalogue wants."""

from typing import ClassVar

import torch

from qcgen.core.evidence import Swatch
from qcgen.qc.colour import delta_e
from qcgen.qc.evidence import Evidence, heat, hex_of
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_QUANTILE = 0.75
_FAINT, _STRONG = 1.0, 10.0


class Background:
    """CIEDE2000 from a ring along the frame to the profile's ground (`Batch.background`): the 75 % quantile.

    A quarter of the ring may be product that the frame cuts off. The ring is a fiftieth of the short side wide. For
    catalogues with one ground only: scenes are far from any.
    """

    name: ClassVar[str] = "background"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "delta E 2000"
    range: ClassVar[tuple[float, float]] = (0.0, 150.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        ring = batch.planes.ground.ring
        away = delta_e(ring, batch.wanted_ground.expand_as(ring))
        return scored(away.kthvalue(max(1, round(_QUANTILE * away.shape[1])), dim=1).values, self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        planes = batch.planes
        lab = planes.lab[index].permute(1, 2, 0)
        away = delta_e(lab, batch.wanted_ground.expand_as(lab))
        ring = planes.in_ring(away)
        return Evidence(
            "Marked: the ring along the frame, by how far it is from the ground that the profile wants.",
            heat(torch.where(ring, away, 0), _FAINT, _STRONG, self.unit),
            swatches=(
                Swatch("found along the frame", hex_of(planes.ground.colour[index])),
                Swatch("wanted", hex_of(batch.wanted_ground)),
            ),
        )
