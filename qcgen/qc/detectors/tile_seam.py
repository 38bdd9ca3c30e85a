"""Seams between the tiles of a decoder that works in tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
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
_NEAREST, _FARTHEST = 2, 8
"""Of the parallels beside a line, px: a step is seen in the places next to it too, and what is far is another thing."""
_BESIDE = 3.0
_FEWEST = 0.1


@dataclass(frozen=True, slots=True)
class _Crossing:
    """Luma's limited steps across a line and across its parallels, row by row.

    Attributes:
        steps: the line first, then the parallels.
        weights: how quiet each row is beside the line; 0 where both sides of the line are burnt or drowned.
    """

    steps: Float[Tensor, "b k n"]
    weights: Float[Tensor, "b n"]


class TileSeam:
    """Luma's step across the lines in `Batch.tile_lines`, in codes up to 12: the worst line's.

    The step less the mean of the steps either side, at most 12 codes so that the product's edges weigh no more than a
    seam would; the mean along the line, in which a row counts by one over the mean squared step of its parallels (2 to
    8 px beside, plus a code, plus the square of what the limit cut off): a seam shows best where nothing else is. With
    n the largest such mean of the parallels, a line's m counts as m m / (m + 3 n): stripes, slats, JPEG's blocks and
    texture step as much beside the line. A straight edge of the product that lies in the line is still taken for a
    seam. Burnt and drowned rows cannot step and do not count; 0 where they leave less than a tenth of the line.
    `not_applicable` without lines inside the picture.
    """

    name: ClassVar[str] = "tile_seam"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "codes"
    range: ClassVar[tuple[float, float]] = (0.0, 12.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        lines = batch.tile_lines
        steps = [] if lines is None else _seams(batch.luma, lines.columns)
        steps += [] if lines is None else _seams(batch.luma.mT, lines.rows)
        if not steps:
            return unscored(batch, "not_applicable")
        return scored(torch.stack(steps).amax(0), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        lines = batch.tile_lines
        assert lines is not None
        chosen = slice(index, index + 1)
        across, down = batch.luma[chosen], batch.luma[chosen].mT
        found = [(at, _crossing(across, at), "x") for at in lines.columns if _inside(across, at)]
        found += [(at, _crossing(down, at), "y") for at in lines.rows if _inside(down, at)]
        at, worst, axis = max(found, key=lambda one: float(_seam(one[1])))
        segments = _segments(worst)
        line = torch.zeros_like(batch.luma[index] if axis == "x" else batch.luma[index].T)
        along = segments.repeat_interleave(len(line) // _SEGMENTS).float()
        # Where the line steps the other way or not at all, it is texture and no seam.
        agrees = along.sign() == float(_means(worst)[0, 0].sign())
        line[: len(along), at - 1 : at + 1] = torch.where(agrees, along.abs(), 0)[:, None]
        return Evidence(
            f"The worst line of the decoder's tiles, at {axis} = {at}. A seam steps the same way all along.",
            heat(widened(line if axis == "x" else line.T, 1), _FAINT_CODES, _LARGEST_CODES, self.unit),
            Curve(
                floats(torch.arange(1, _SEGMENTS + 1)),
                (Line("step", floats(segments)),),
                "segment along the line",
                self.unit,
            ),
        )


def _seams(lines: Float[Tensor, "b n w"], places: Sequence[int]) -> list[Float[Tensor, " b"]]:
    """One for each place that has two pixels on either side."""
    return [_seam(_crossing(lines, at)) for at in places if _inside(lines, at)]


def _inside(lines: Float[Tensor, "b n w"], at: int) -> bool:
    return 2 <= at <= lines.shape[2] - 2


def _crossing(lines: Float[Tensor, "b n w"], at: int) -> _Crossing:
    first, last = max(2, at - _FARTHEST), min(lines.shape[2] - 2, at + _FARTHEST)
    # Turned, so that what is summed over lies side by side in memory.
    strip = lines[:, :, first - 2 : last + 2].mT.contiguous()
    jumps = strip[:, 1:] - strip[:, :-1]
    steps = jumps[:, 1:-1] - 0.5 * (jumps[:, :-2] + jumps[:, 2:])
    own, beside = at - first, [i for i in range(last - first + 1) if abs(first + i - at) >= _NEAREST]
    limited = steps[:, [own, *beside]].clamp_(-_LARGEST_CODES, _LARGEST_CODES)
    cut_off = steps[:, own] - limited[:, 0]
    restless = 1 + steps[:, beside].square_().mean(1) + cut_off.square()
    left, right = strip[:, own + 1], strip[:, own + 2]
    lost = ((left >= 254) & (right >= 254)) | ((left <= 1) & (right <= 1))
    return _Crossing(limited, torch.where(lost, 0.0, 1 / restless))


def _seam(crossing: _Crossing) -> Float[Tensor, " b"]:
    means = _means(crossing).abs()
    line, beside = means[:, 0], means[:, 1:].amax(1)
    found = line * line / (line + _BESIDE * beside).clamp(min=1e-9)
    few = (crossing.weights > 0).double().mean(1) < _FEWEST
    return torch.where(few, 0.0, found)


def _means(crossing: _Crossing) -> Float[Tensor, "b k"]:
    weights = crossing.weights[:, None]
    return (crossing.steps * weights).sum(2).double() / weights.sum(2).double().clamp(min=1e-9)


def _segments(crossing: _Crossing) -> Float[Tensor, "16"]:
    """Mean step in each segment of one picture's line."""
    steps = crossing.steps[0, 0]
    return steps[: len(steps) // _SEGMENTS * _SEGMENTS].reshape(_SEGMENTS, -1).mean(1)
