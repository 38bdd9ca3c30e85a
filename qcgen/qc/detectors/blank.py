"""Blank or nearly constant pictures."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.planes import some_at_a_time
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored

_BINS = 64


class Blank:
    """Negative log10 of the variance of luma (in codes squared): 4 on one flat colour, -4.2 on black beside white."""

    name: ClassVar[str] = "blank"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "-log10 code²"
    range: ClassVar[tuple[float, float]] = (-4.3, 4.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        variance = some_at_a_time(_variance, batch.luma)
        return scored(-variance.clamp(min=1e-4).log10(), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        luma = batch.luma[index].flatten().cpu()
        shares = 100 * torch.histc(luma, _BINS, 0, 256).double() / len(luma)
        codes = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * 256 / _BINS
        return Evidence(
            "A picture of something has many tones; a blank one has all its pixels in one place.",
            curve=Curve(floats(codes), (Line("of the pixels", floats(shares)),), "luma, codes", "%", filled=True),
            facts=(("spread (standard deviation)", f"{float(luma.double().std(correction=0)):.3g} codes"),),
        )


def _variance(luma: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    # A row's sum is small enough for float32; sums of rows are not.
    mean = luma.mean(2).double().mean(1)
    return (luma - mean.float()[:, None, None]).square_().mean(2).double().mean(1)
