"""Periodic patterns that up-sampling and decoder strides leave."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_LINES_QUANTILE = 0.3
_SMALL = 96
_SMALLEST = 32


class UpsamplingGrid:
    """Strongest peak of the line spectrum at periods 8, 4, 8/3 and 2 px over its neighbourhood, in nats.

    Rows and columns are high-passed and transformed one by one; the 30 % quantile over lines keeps what nearly every
    line has, so a striped garment that fills part of the frame does not count. Below a side of 96 px only period 2.
    """

    name: ClassVar[str] = "upsampling_grid"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "log ratio, nats"
    range: ClassVar[tuple[float, float]] = (0.0, 12.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        luma = batch.luma.double()
        peaks = torch.maximum(_peak(luma), _peak(luma.transpose(1, 2)))
        return scored(peaks, self.range)


def _peak(luma: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    width = luma.shape[2] // 8 * 8
    lines = luma[:, :, :width]
    high = lines[:, :, 1:-1] - (lines[:, :, :-2] + lines[:, :, 2:]) / 2
    high = torch.cat([high, high[:, :, :1] * 0, high[:, :, :1] * 0], dim=2)
    spectrum = torch.fft.rfft(high * torch.hann_window(width, dtype=luma.dtype, device=luma.device)).abs()
    # Half a code of rounding is always there; it keeps flat pictures from dividing silence by silence.
    profile = (spectrum.quantile(_LINES_QUANTILE, dim=1) + 0.5 * width**0.5 / 4).log()
    bins = [width // 2] if width < _SMALL else [width // 8, width // 4, 3 * width // 8, width // 2]
    return torch.stack([_above_neighbours(profile, at) for at in bins]).amax(0)


def _above_neighbours(profile: Float[Tensor, "b f"], at: int) -> Float[Tensor, " b"]:
    last = profile.shape[1] - 1
    around = [i for i in range(at - 7, at + 8) if 0 < i <= last and abs(i - at) > 2]
    return profile[:, at] - profile[:, around].median(1).values
