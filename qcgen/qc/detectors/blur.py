"""Soft pictures: how little an additional blur takes from the strongest edges."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.evidence import Evidence, heat, laid_out, widened
from qcgen.qc.planes import SMOOTH_RADIUS, some_at_a_time, squared_gradient
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored
from qcgen.qc.strongest import strongest

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
        before, after = some_at_a_time(squared_gradient, batch.luma).flatten(1), batch.planes.smooth
        count = max(1, round(_STRONGEST * before.shape[1]))
        values = torch.stack([_ratio(before[i], after[i], count) for i in range(len(before))])
        return scored(values.clamp(min=0), self.range, no_edges=values < 0)

    def explain(self, batch: Batch, index: int) -> Evidence:
        chosen = slice(index, index + 1)
        before, after = (squared_gradient(one[chosen])[0].sqrt() for one in (batch.luma, batch.planes.smooth))
        count = max(1, round(_STRONGEST * before.numel()))
        strong = torch.zeros_like(before, dtype=torch.bool)
        strong.view(-1)[strongest(before.flatten(), count, least=_FAINT_CODES)] = True
        ratio = _around(after * strong) / _around(before * strong).clamp(min=1e-6)
        soft = torch.where(widened(strong, _NEAR - 1) > 0, ratio, 0)
        return Evidence(
            "Marked: edges among the picture's strongest that are soft already, so that more blur takes little.",
            heat(laid_out(soft, batch, top=1, left=1), _SHARP, _SOFT, "ratio"),
        )


def _around(plane: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Mean over the neighbours: a blurred edge's maximum lies a pixel or so beside the sharp one's."""
    return F.avg_pool2d(plane[None], 2 * _NEAR + 1, stride=1, padding=_NEAR)[0]


def _ratio(before: Float[Tensor, " n"], smooth: Float[Tensor, "h w"], count: int) -> Float[Tensor, ""]:
    """Of one picture, from its squared gradient; -1 without edges."""
    strong = strongest(before, count, least=_FAINT_CODES**2)
    if not len(strong):
        return before.new_tensor(-1.0, dtype=torch.float64)
    # The gaussian's gradient is only asked for where the picture's own is strong.
    width = smooth.shape[1]
    place = strong + strong.div(width - 1, rounding_mode="floor") + width + 1
    codes = smooth.flatten()
    here, left, above = (codes[place - back].double() for back in (0, 1, width))
    after = torch.hypot(here - left, here - above)
    # A blurred edge moves its maximum by a pixel or so; the ratio of means is steadier than the mean of ratios.
    return after.sum() / before[strong].double().sqrt().sum().clamp(min=1e-6)
