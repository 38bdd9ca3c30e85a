"""Pictures that are soft along one direction: motion, a shaken camera."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.planes import SMOOTH_RADIUS
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_FAINT_CODES = 1.0
_STEP_DEGREES = 5

_Moments = tuple[Float[Tensor, " b"], Float[Tensor, " b"], Float[Tensor, " b"]]
"""Means of |g|^2 g g^T over each picture: across-across, across-down, down-down."""


class MotionBlur:
    """How much of the gradient a gaussian of 1.5 px leaves along the direction in which it leaves most.

    J = sum |g|^2 g g^T over the gradients g before the gaussian, K the same after it; the root of the largest u^T K u /
    u^T J u over directions u. Motion leaves edges along itself sharp, which hides it from detectors that look at the
    strongest edges; here the direction without sharp edges decides. Weighing by the gradient's square leaves noise and
    shading out. High by right where all edges run in one direction; `no_edges` where the mean squared gradient is below
    one code.
    """

    name: ClassVar[str] = "motion_blur"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "ratio"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < 2 * SMOOTH_RADIUS + 2:
            return unscored(batch, "too_small")
        before, after = _all_moments(batch.luma), _all_moments(batch.planes.smooth)
        faint = before[0] + before[2] < _FAINT_CODES
        return scored(_largest_ratio(after, before).sqrt(), self.range, no_edges=faint)

    def explain(self, batch: Batch, index: int) -> Evidence:
        chosen = slice(index, index + 1)
        before, after = _all_moments(batch.luma[chosen]), _all_moments(batch.planes.smooth[chosen])
        degrees = torch.arange(0, 181, _STEP_DEGREES, dtype=torch.float64)
        left = (_along(after, degrees) / _along(_with_floor(before), degrees)).clamp(min=0).sqrt()
        worst = float(degrees[left.argmax()]) % 180
        return Evidence(
            "Sharp pictures keep little in every direction; a peak is the direction of the motion.",
            curve=Curve(
                floats(degrees),
                (Line("gradient left", floats(left)),),
                "direction, degrees (0 across, 90 down)",
                "ratio",
                marks=(worst,),
            ),
            facts=(("softest along", f"{worst:.0f} degrees"), ("sharpest along", _sharpest(degrees, left))),
        )


def _all_moments(luma: Float[Tensor, "b h w"]) -> _Moments:
    # One by one: a CPU's cache holds the many products of a picture, of a batch it does not (3 times as long).
    first, mixed, second = torch.stack([_moments(one) for one in luma]).unbind(1)
    return first, mixed, second


def _moments(luma: Float[Tensor, "h w"]) -> Float[Tensor, "3"]:
    across = luma[1:, 1:] - luma[1:, :-1]
    down = luma[1:, 1:] - luma[:-1, 1:]
    xx, yy = across.square(), down.square()
    weight = xx + yy
    xy = across.mul_(down).mul_(weight)
    pair = (xx.mul_(weight), xy, yy.mul_(weight))
    # A row's mean in float32, the rows' in float64: sums of fourth powers are too long for float32 alone.
    return torch.stack([one.mean(1).double().mean() for one in pair])


def _sharpest(degrees: Float[Tensor, " n"], left: Float[Tensor, " n"]) -> str:
    at = int(left.argmin())
    return f"{float(degrees[at]) % 180:.0f} degrees ({float(left[at]):.3f})"


def _along(moments: _Moments, degrees: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """u^T M u of one picture for each direction."""
    across, mixed, down = moments
    angles = degrees * (math.pi / 180)
    cosine, sine = angles.cos(), angles.sin()
    return across * cosine**2 + 2 * mixed * cosine * sine + down * sine**2


def _with_floor(below: _Moments) -> _Moments:
    """A thousandth in every direction: a picture of straight stripes has no gradient along them to compare."""
    p, q, r = below
    floor = 1e-3 * (p + r)
    return p + floor, q, r + floor


def _largest_ratio(above: _Moments, below: _Moments) -> Float[Tensor, " b"]:
    """The larger root l of det(above - l below) = 0."""
    (a, b, c), (p, q, r) = above, _with_floor(below)
    square = (p * r - q * q).clamp(min=1e-12)
    half = (a * r + c * p - 2 * b * q) / 2
    return (half + (half * half - square * (a * c - b * b)).clamp(min=0).sqrt()) / square
