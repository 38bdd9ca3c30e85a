"""Periodic patterns that up-sampling and decoder strides leave."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.planes import second_difference
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SOFT_CODES = 10.0
_SMALL = 96
_SMALLEST = 32
_ALONE = 1 / 3
_QUIET = 0.02


@dataclass(frozen=True, slots=True)
class _Peaks:
    """Of one axis, in nats over the neighbourhood: those of all lines together, and of lines that take turns."""

    straight: Float[Tensor, "b bins"]
    in_turns: Float[Tensor, " b"]


class UpsamplingGrid:
    """Peaks at periods 8, 4, 8/3 and 2 px in what all lines have in common, over their neighbourhood, in nats.

    Rows and columns (every second from a side of 256) are high-passed, compressed (x over 1 + |x| / 10 codes, for edges
    are no grid) and transformed; each line's spectrum is set against its own neighbourhood, so that flat ground and
    busy cloth weigh alike, and all are added up with their phases: a grid stands at the same place in every line,
    texture does not. The mean over the four periods and both axes, since a stride of 8 leaves lines that cross, and
    striped cloth waves of one direction; or a third of what period 2 has alone, as it is or with every second line
    turned over (a checkerboard). Below a side of 96 px only period 2.
    """

    name: ClassVar[str] = "upsampling_grid"
    version: ClassVar[int] = 3
    unit: ClassVar[str] = "log ratio, nats"
    range: ClassVar[tuple[float, float]] = (-4.0, 12.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        across, down = _peaks(batch.planes.across), _peaks(batch.planes.down)
        straight = (across.straight + down.straight) / 2
        alone = torch.maximum(straight[:, -1], (across.in_turns + down.in_turns) / 2)
        # Where no other period is asked for there is nothing that a peak at period 2 could be alone among.
        weight = _ALONE if straight.shape[1] > 1 else 1.0
        return scored(torch.maximum(straight.mean(1), weight * alone), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        chosen = slice(index, index + 1)
        lines = (batch.planes.across[chosen], batch.planes.down[chosen])
        peaks = [_peaks(one) for one in lines]
        worse = max((0, 1), key=lambda i: float(torch.cat([peaks[i].straight[0], peaks[i].in_turns]).max()))
        width = lines[worse].shape[2] // 8 * 8
        every = list(range(1, width // 2 + 1))
        spectrum = _spectrum(lines[worse], every)
        turns = bool(peaks[worse].in_turns > peaks[worse].straight.amax(1))
        whole = (_turned(spectrum) if turns else spectrum).mean(1).abs()[0].double() + 0.5
        return Evidence(
            "What the picture's lines have in common, by its period. A lone peak at a mark is a grid."
            + (" Every second line is turned over: a checkerboard." if turns else ""),
            curve=Curve(
                floats(torch.tensor(every, dtype=torch.float64) / width),
                (Line(("across", "down")[worse], floats(whole.log())),),
                "cycles a pixel (1/8, 1/4, 3/8, 1/2 marked)",
                "log amplitude, nats",
                marks=floats(torch.tensor(_bins(width), dtype=torch.float64) / width),
            ),
        )


def _peaks(lines: Float[Tensor, "b n w"]) -> _Peaks:
    width = lines.shape[2] // 8 * 8
    bins = _bins(width)
    wanted = sorted({i for at in bins for i in _around(at, width // 2)} | set(bins))
    spectrum = _spectrum(lines, wanted)
    places = {at: i for i, at in enumerate(wanted)}
    found = []
    for at in bins:
        beside = [places[i] for i in _around(at, width // 2)]
        # Half a code of rounding is always there; it keeps flat lines from dividing silence by silence.
        level = spectrum[:, :, beside].abs().mean(2, keepdim=True) + 0.5 * width**0.5 / 4
        one = spectrum[:, :, [places[at], *beside]] / level
        found.append(_common(one))
    # The last bin is period 2, the only one that a checkerboard has.
    return _Peaks(torch.stack(found, dim=1), _common(_turned(one)))


def _common(spectrum: Complex[Tensor, "b n f"]) -> Float[Tensor, " b"]:
    """The first place's amplitude in the mean over lines, over that of the others, as a logarithm."""
    whole = spectrum.mean(1).abs().double()
    return ((whole[:, 0] + _QUIET) / (whole[:, 1:].square().mean(1).sqrt() + _QUIET)).log()


def _turned(spectrum: Complex[Tensor, "b n f"]) -> Complex[Tensor, "b n f"]:
    signs = 1.0 - 2.0 * (torch.arange(spectrum.shape[1], device=spectrum.device) % 2)
    return spectrum * signs[None, :, None]


def _bins(width: int) -> list[int]:
    """Places in the spectrum of the periods that up-sampling leaves."""
    return [width // 2] if width < _SMALL else [width // 8, width // 4, 3 * width // 8, width // 2]


def _spectrum(lines: Float[Tensor, "b n w"], wanted: list[int]) -> Complex[Tensor, "b n f"]:
    """Some places of each line's spectrum."""
    width = lines.shape[2] // 8 * 8
    window = torch.hann_window(width, dtype=lines.dtype, device=lines.device)
    high = second_difference(lines[:, :, :width], dim=2).mul_(-0.5)
    high.div_(high.abs().div_(_SOFT_CODES).add_(1))
    spectrum: Tensor = torch.fft.rfft(high.mul_(window[: width - 2]), n=width)
    return spectrum[:, :, wanted]


def _around(at: int, last: int) -> list[int]:
    return [i for i in range(at - 7, at + 8) if 0 < i <= last and abs(i - at) > 2]
