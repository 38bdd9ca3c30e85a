"""Seams between the tiles of a decoder that works in tiles."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_SEGMENTS = 16
_LARGEST_CODES = 12.0


class TileSeam:
    """Luma's step across the lines in `Batch.tile_lines`, in codes up to 12: the worst line's.

    The step less the mean of the steps either side, at most 12 codes so that the product's edges weigh no more than a
    seam would; averaged in each of 16 segments along the line; the median segment by its sign, then without it. A seam
    steps the same way along the whole line, texture does not; a straight edge of the product that lies in the line
    does, and clipped areas do not show a seam. `not_applicable` without lines inside the picture.
    """

    name: ClassVar[str] = "tile_seam"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "codes"
    range: ClassVar[tuple[float, float]] = (0.0, 12.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        lines = batch.tile_lines
        steps = [] if lines is None else _steps(batch.luma, lines.columns)
        steps += [] if lines is None else _steps(batch.luma.transpose(1, 2), lines.rows)
        if not steps:
            return unscored(batch, "not_applicable")
        return scored(torch.stack(steps).amax(0), self.range)


def _steps(luma: Float[Tensor, "b h w"], columns: Sequence[int]) -> list[Float[Tensor, " b"]]:
    """One for each column that has two pixels on either side."""
    height = luma.shape[1] // _SEGMENTS * _SEGMENTS
    found = []
    for at in columns:
        if not 2 <= at <= luma.shape[2] - 2:
            continue
        before, left, right, after = luma[:, :height, at - 2 : at + 2].double().unbind(2)
        step = 1.5 * (right - left) - 0.5 * (after - before)
        limited = step.clamp(-_LARGEST_CODES, _LARGEST_CODES)
        ordered = limited.reshape(len(luma), _SEGMENTS, -1).mean(2).sort(dim=1).values
        found.append(ordered[:, _SEGMENTS // 2 - 1 : _SEGMENTS // 2 + 1].mean(1).abs())
    return found
