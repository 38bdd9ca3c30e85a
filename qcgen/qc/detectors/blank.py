"""Blank or nearly constant pictures."""

from typing import ClassVar

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored


class Blank:
    """Negative log10 of the variance of luma (in codes squared): 4 on one flat colour, -4.2 on black beside white."""

    name: ClassVar[str] = "blank"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "-log10 code²"
    range: ClassVar[tuple[float, float]] = (-4.3, 4.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        # A row's sum is small enough for float32; sums of rows are not.
        mean = batch.luma.mean(2).double().mean(1)
        variance = (batch.luma - mean.float()[:, None, None]).square_().mean(2).double().mean(1)
        return scored(-variance.clamp(min=1e-4).log10(), self.range)
