"""Soft pictures: how little an additional blur takes from the strongest edges."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SIGMA = 1.5
_RADIUS = 4
_STRONGEST = 0.01
_FAINT_CODES = 2.0


class Blur:
    """Gradient after a gaussian of 1.5 px over the gradient before it, over the strongest 1 % of edge pixels.

    A sharp edge loses most of its gradient, a soft one keeps it. Needs edges: pictures without any are `no_edges`.
    """

    name: ClassVar[str] = "blur"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "ratio"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < 2 * _RADIUS + 2:
            return unscored(batch, "too_small")
        before = _gradient(batch.luma).flatten(1)
        after = _gradient(_smooth(batch.luma)).flatten(1)
        count = max(1, round(_STRONGEST * before.shape[1]))
        least = before.topk(count, dim=1).values[:, -1:].clamp(min=_FAINT_CODES)
        # All ties with the last one count, so that the choice does not hang on the order of pixels.
        strong = (before >= least).double()
        # A blurred edge moves its maximum by a pixel or so; the ratio of means is steadier than the mean of ratios.
        ratio = (after * strong).sum(1) / (before * strong).sum(1).clamp(min=1e-6)
        return scored(ratio, self.range, no_edges=strong.sum(1) == 0)


def _gradient(luma: Float[Tensor, "b h w"]) -> Float[Tensor, "b hh ww"]:
    across = luma[:, 1:, 1:] - luma[:, 1:, :-1]
    down = luma[:, 1:, 1:] - luma[:, :-1, 1:]
    return torch.hypot(across, down)


def _smooth(luma: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    axis = torch.arange(-_RADIUS, _RADIUS + 1, device=luma.device, dtype=luma.dtype)
    kernel = torch.exp(-(axis**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(luma[:, None], (_RADIUS,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1))[:, 0]
