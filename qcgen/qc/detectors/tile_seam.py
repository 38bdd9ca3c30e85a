"""Seams between the tiles of a decoder that works in tiles."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats, heat, widened
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_SEGMENTS = 16
_LARGEST_CODES = 12.0
_FAINT_CODES = 1.0


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

    def explain(self, batch: Batch, index: int) -> Evidence:
        lines = batch.tile_lines
        assert lines is not None
        luma = batch.luma[index : index + 1]
        found = [(at, _segments(luma, at), "x") for at in lines.columns if _inside(luma, at)]
        found += [(at, _segments(luma.mT, at), "y") for at in lines.rows if _inside(luma.mT, at)]
        at, segments, axis = max(found, key=lambda one: float(_middle(one[1]).abs()))
        steps = segments[0]
        line = torch.zeros_like(luma[0] if axis == "x" else luma[0].T)
        along = steps.abs().float().repeat_interleave(len(line) // _SEGMENTS)
        # Where most of the line steps the other way or not at all, it is texture and no seam.
        agrees = (steps.sign() == _middle(segments).sign()).repeat_interleave(len(line) // _SEGMENTS)
        line[: len(along), at - 1 : at + 1] = torch.where(agrees, along, 0)[:, None]
        return Evidence(
            f"The worst line of the decoder's tiles, at {axis} = {at}. A seam steps the same way all along.",
            heat(widened(line if axis == "x" else line.T, 1), _FAINT_CODES, _LARGEST_CODES, self.unit),
            Curve(
                floats(torch.arange(1, _SEGMENTS + 1)),
                (Line("step", floats(steps)),),
                "segment along the line",
                self.unit,
            ),
        )


def _steps(luma: Float[Tensor, "b h w"], columns: Sequence[int]) -> list[Float[Tensor, " b"]]:
    """One for each column that has two pixels on either side."""
    found = []
    for at in columns:
        if _inside(luma, at):
            found.append(_middle(_segments(luma, at)).abs())
    return found


def _inside(luma: Float[Tensor, "b h w"], at: int) -> bool:
    return 2 <= at <= luma.shape[2] - 2


def _segments(luma: Float[Tensor, "b h w"], at: int) -> Float[Tensor, "b 16"]:
    """Mean limited step in each segment of a column."""
    height = luma.shape[1] // _SEGMENTS * _SEGMENTS
    before, left, right, after = luma[:, :height, at - 2 : at + 2].double().unbind(2)
    step = 1.5 * (right - left) - 0.5 * (after - before)
    limited = step.clamp(-_LARGEST_CODES, _LARGEST_CODES)
    return limited.reshape(len(luma), _SEGMENTS, -1).mean(2)


def _middle(segments: Float[Tensor, "b 16"]) -> Float[Tensor, " b"]:
    """The median segment by its sign."""
    ordered = segments.sort(dim=1).values
    return ordered[:, _SEGMENTS // 2 - 1 : _SEGMENTS // 2 + 1].mean(1)
