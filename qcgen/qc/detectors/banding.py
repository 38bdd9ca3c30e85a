"""False contours in what should be smooth gradients."""

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_PLATEAU = 3
_FAINTEST, _STRONGEST = 1.5, 40.0


class Banding:
    """Share of places where luma steps by 1.5 to 40 codes between two plateaus, the larger of rows and columns.

    A plateau is four pixels in a row of exactly one colour. Neither noise nor the 8 bits of a file make such steps on
    their own; quantised gradients do, and so do flat drawings in neighbouring tones. Noise and dithering hide banding.
    """

    name: ClassVar[str] = "banding"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        down, across = (_contours(lines).float().mean(2).mean(1) for lines in (batch.planes.down, batch.planes.across))
        return scored(down.maximum(across), self.range)


def _contours(lines: Float[Tensor, "b n w"]) -> Bool[Tensor, "b n ww"]:
    step = (lines[:, :, 1:] - lines[:, :, :-1]).abs_()
    level = step == 0
    inner = step.shape[2] - 2 * _PLATEAU
    middle = step[:, :, _PLATEAU:-_PLATEAU]
    found = (middle >= _FAINTEST) & (middle <= _STRONGEST)
    for i in range(_PLATEAU):
        found &= level.narrow(2, i, inner)
        found &= level.narrow(2, _PLATEAU + 1 + i, inner)
    return found
