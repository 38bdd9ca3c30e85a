"""Blocks of 8 px that a hard JPEG compression leaves."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_BLOCK = 8
_SMALLEST = 64
_QUIET_CODES = 1.0


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


def _ratio(lines: Float[Tensor, "b n w"]) -> Float[Tensor, " b"]:
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
    phases = whole.reshape(len(lines), -1, _BLOCK).mean(1)
    return (phases.amax(1) + 1e-3) / (phases.median(1).values + 1e-3)
