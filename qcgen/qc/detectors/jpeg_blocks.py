"""Blocks of 8 px that a hard JPEG compression leaves."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_BLOCK = 8
_SMALLEST = 64
_QUIET_CODES = 1.0
_FIRST = 6
"""The pixel after the step that the first phase is about."""


class JpegBlocks:
    """How much larger luma's jumps are at every eighth line than at the others, for the worst of the eight phases.

    A jump is the step between two pixels less the mean of the steps either side, over the mean jump of the nine places
    around (plus a code): busy places count no more than quiet ones. Each axis: mean jump of the phase with the largest
    over that of the median phase; the geometric mean of both axes, since slats and stripes repeat along one only. Any
    phase, so that crops are found; scaled JPEGs are not. 1 without blocks.
    """

    name: ClassVar[str] = "jpeg_blocks"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "ratio"
    range: ClassVar[tuple[float, float]] = (1.0, 20.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        return scored((_ratio(batch.planes.across) * _ratio(batch.planes.down)).sqrt(), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        chosen = slice(index, index + 1)
        across, down = (_phases(lines[chosen])[0] for lines in (batch.planes.across, batch.planes.down))
        lines = [(one + 1e-3) / (one.median() + 1e-3) for one in (across, down)]
        # The phase as a place: where the first block of the picture ends.
        marks = sorted({(int(one.argmax()) + _FIRST) % _BLOCK for one in lines})
        ordered = [one.roll(_FIRST) for one in lines]
        return Evidence(
            "Without blocks all eight places are alike; a peak is where the blocks of a compression meet.",
            curve=Curve(
                floats(torch.arange(_BLOCK)),
                (Line("across", floats(ordered[0])), Line("down", floats(ordered[1]))),
                "place in a block of 8 px",
                "jump over the median place's",
                marks=tuple(map(float, marks)),
            ),
        )


def _ratio(lines: Float[Tensor, "b n w"]) -> Float[Tensor, " b"]:
    phases = _phases(lines)
    return (phases.amax(1) + 1e-3) / (phases.median(1).values + 1e-3)


def _phases(lines: Float[Tensor, "b n w"]) -> Float[Tensor, "b 8"]:
    """Mean relative jump at each of the eight places that a block's edge can have."""
    length = lines.shape[2] - 3
    at = [lines.narrow(2, i, length) for i in range(4)]
    jump = (at[2] - at[1]).mul_(3).sub_(at[3]).add_(at[0]).abs_().mul_(0.5)
    inner = length - _BLOCK
    around = jump[:, :, :inner] * (1 / 9)
    for i in range(1, _BLOCK + 1):
        around.add_(jump.narrow(2, i, inner), alpha=1 / 9)
    relative = jump.narrow(2, _BLOCK // 2, inner).div(around.add_(_QUIET_CODES))
    places = relative.mean(1).double()
    whole = places[:, : places.shape[1] // _BLOCK * _BLOCK]
    return whole.reshape(len(lines), -1, _BLOCK).mean(1)
