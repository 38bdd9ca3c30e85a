"""Soft pictures: how little an additional blur takes from the strongest edges."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.evidence import Evidence, heat, laid_out, widened
from qcgen.qc.planes import SMOOTH_RADIUS, gradient_length
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import kth_largest, scored, short_side, unscored

_STRONGEST = 0.01
_FAINT_CODES = 2.0
_NEAR = 3
_SHARP, _SOFT = 0.40, 0.90


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
        if short_side(batch) < 2 * SMOOTH_RADIUS + 2:
            return unscored(batch, "too_small")
        before = batch.planes.gradient.flatten(1)
        after = gradient_length(batch.planes.smooth).flatten(1)
        count = max(1, round(_STRONGEST * before.shape[1]))
        ratios = [_ratio(before[i], after[i], count) for i in range(len(before))]
        values = torch.stack(ratios)
        return scored(values.clamp(min=0), self.range, no_edges=values < 0)

    def explain(self, batch: Batch, index: int) -> Evidence:
        before = batch.planes.gradient[index]
        after = gradient_length(batch.planes.smooth[index : index + 1])[0]
        count = max(1, round(_STRONGEST * before.numel()))
        strong = before >= kth_largest(before.flatten(), count).clamp(min=_FAINT_CODES)
        ratio = _around(after * strong) / _around(before * strong).clamp(min=1e-6)
        soft = torch.where(widened(strong, _NEAR - 1) > 0, ratio, 0)
        return Evidence(
            "Marked: edges among the picture's strongest that are soft already, so that more blur takes little.",
            heat(laid_out(soft, batch, top=1, left=1), _SHARP, _SOFT, "ratio"),
        )


def _around(plane: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Mean over the neighbours: a blurred edge's maximum lies a pixel or so beside the sharp one's."""
    return F.avg_pool2d(plane[None], 2 * _NEAR + 1, stride=1, padding=_NEAR)[0]


def _ratio(before: Float[Tensor, " n"], after: Float[Tensor, " n"], count: int) -> Float[Tensor, ""]:
    """Of one picture; -1 without edges."""
    least = kth_largest(before, count).clamp(min=_FAINT_CODES)
    # All ties with the last one count, so that the choice does not hang on the order of pixels.
    strong = torch.nonzero(before >= least)[:, 0]
    if not len(strong):
        return before.new_tensor(-1.0, dtype=torch.float64)
    # A blurred edge moves its maximum by a pixel or so; the ratio of means is steadier than the mean of ratios.
    return after[strong].double().sum() / before[strong].double().sum().clamp(min=1e-6)
