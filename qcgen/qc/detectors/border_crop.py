"""Garments that the frame cuts off."""

from typing import ClassVar

import torch

from qcgen.core.evidence import Swatch
from qcgen.qc.evidence import Evidence, hex_of, mask_heat
from qcgen.qc.foreground import in_frame
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_SIDE = 32


class BorderCrop:
    """Share of the frame's outermost sixteenth that has the garment's dominant colour.

    Blind where garment and ground have one colour: there the frame is full of it on clean pictures too.
    """

    name: ClassVar[str] = "border_crop"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        clusters = batch.clusters
        rows = torch.arange(len(batch.images))
        return scored(clusters.frame[rows, clusters.chosen], self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        clusters = batch.clusters
        garment = clusters.member[index] == clusters.chosen[index]
        frame = in_frame()
        return Evidence(
            "Marked: places along the frame that have the garment's colour.",
            mask_heat((garment & frame).reshape(_SIDE, _SIDE), "places"),
            swatches=(Swatch("the garment's colour", hex_of(clusters.colour()[index])),),
        )
