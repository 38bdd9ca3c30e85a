"""Periodic patterns that up-sampling and decoder strides leave."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.planes import second_difference
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_LINES_QUANTILE = 0.3
_SMALL = 96
_SMALLEST = 32


class UpsamplingGrid:
    """Strongest peak of the line spectrum at periods 8, 4, 8/3 and 2 px over its neighbourhood, in nats.

    Rows and columns (every second from a side of 256) are high-passed and transformed one by one; the 30 % quantile
    over lines keeps what nearly every line has, so a striped garment that fills part of the frame does not count.
    Below a side of 96 px only period 2.
    """

    name: ClassVar[str] = "upsampling_grid"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "log ratio, nats"
    range: ClassVar[tuple[float, float]] = (0.0, 12.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        peaks = torch.maximum(_peak(batch.planes.across), _peak(batch.planes.down))
        return scored(peaks, self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        chosen = slice(index, index + 1)
        lines = (batch.planes.across[chosen], batch.planes.down[chosen])
        worse = int(_peak(lines[1]) > _peak(lines[0]))
        width = lines[worse].shape[2] // 8 * 8
        every = list(range(1, width // 2 + 1))
        spectrum = _profile(lines[worse], every)[0]
        return Evidence(
            "What nearly every line of the picture has, by its period. A lone peak at a mark is a grid.",
            curve=Curve(
                floats(torch.tensor(every, dtype=torch.float64) / width),
                (Line(("across", "down")[worse], floats(spectrum)),),
                "cycles a pixel (1/8, 1/4, 3/8, 1/2 marked)",
                "log amplitude, nats",
                marks=floats(torch.tensor(_bins(width), dtype=torch.float64) / width),
            ),
        )


def _peak(luma: Float[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    width = luma.shape[2] // 8 * 8
    bins = _bins(width)
    wanted = sorted({i for at in bins for i in _around(at, width // 2)} | set(bins))
    profile = _profile(luma, wanted)
    place = {at: i for i, at in enumerate(wanted)}
    peaks = [
        profile[:, place[at]] - profile[:, [place[i] for i in _around(at, width // 2)]].median(1).values for at in bins
    ]
    return torch.stack(peaks).amax(0)


def _bins(width: int) -> list[int]:
    """Places in the spectrum of the periods that up-sampling leaves."""
    return [width // 2] if width < _SMALL else [width // 8, width // 4, 3 * width // 8, width // 2]


def _profile(luma: Float[Tensor, "b h w"], wanted: list[int]) -> Float[Tensor, "b f"]:
    """Log amplitude at some places of the spectrum: the 30 % quantile over lines."""
    width = luma.shape[2] // 8 * 8
    window = torch.hann_window(width, dtype=luma.dtype, device=luma.device)
    high = second_difference(luma[:, :, :width], dim=2).mul_(-0.5 * window[: width - 2])
    spectrum = torch.fft.rfft(high, n=width)[:, :, wanted].abs()
    # Half a code of rounding is always there; it keeps flat pictures from dividing silence by silence.
    level: Tensor = _low_quantile(spectrum).double() + 0.5 * width**0.5 / 4
    return level.log()


def _around(at: int, last: int) -> list[int]:
    return [i for i in range(at - 7, at + 8) if 0 < i <= last and abs(i - at) > 2]


def _low_quantile(spectrum: Float[Tensor, "b lines f"]) -> Float[Tensor, "b f"]:
    """Over lines, interpolated as `torch.quantile` does, which sorts many times as long."""
    turned = spectrum.transpose(1, 2).contiguous()
    position = _LINES_QUANTILE * (turned.shape[2] - 1)
    below = int(position)
    low, high = (turned.kthvalue(below + i, dim=2).values for i in (1, 2))
    return torch.lerp(low, high, position - below)
