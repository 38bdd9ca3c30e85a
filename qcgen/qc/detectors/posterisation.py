"""Too few tones: a histogram like a comb."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 64
_SAMPLED = 256
_TAIL = 0.02
_NARROWEST = 16
_FEWEST_LEVELS = 4


class Posterisation:
    """Share of codes that no pixel has, between the 2 % and the 98 % quantile of a channel: the mean over channels.

    Every second pixel and line from a side of 256. Channels whose quantiles lie less than 16 codes apart or that use
    fewer than 4 levels are left out (flat pictures, icons); `few_tones` where no channel remains. Dithering hides
    posterisation; a stretched contrast leaves the same comb. Pictures below 128 px leave some codes empty by chance.
    """

    name: ClassVar[str] = "posterisation"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        step = 2 if short_side(batch) >= _SAMPLED else 1
        counts = _histograms(batch.images[:, :, ::step, ::step])
        upward = counts.cumsum(2)
        total = upward[:, :, -1:]
        low = (upward <= _TAIL * total).sum(2)
        high = (upward < (1 - _TAIL) * total).sum(2)
        code = torch.arange(256, device=counts.device)
        between = (code > low[..., None]) & (code < high[..., None])
        empty = ((counts == 0) & between).sum(2) / between.sum(2).clamp(min=1)
        usable = (high - low >= _NARROWEST) & ((counts > 0).sum(2) >= _FEWEST_LEVELS)
        share = _mean(empty, usable)
        return scored(share, self.range, few_tones=~usable.any(1))


def _histograms(images: UInt8[Tensor, "b 3 h w"]) -> Int[Tensor, "b 3 256"]:
    planes = images.flatten(0, 1).flatten(1).int()
    offset = 256 * torch.arange(len(planes), dtype=torch.int32, device=images.device)
    return torch.bincount((planes + offset[:, None]).flatten(), minlength=256 * len(planes)).view(-1, 3, 256)


def _mean(values: Float[Tensor, "b 3"], usable: Tensor) -> Float[Tensor, " b"]:
    return (values.double() * usable).sum(1) / usable.sum(1).clamp(min=1)
