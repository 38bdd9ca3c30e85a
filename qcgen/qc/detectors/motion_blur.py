"""Pictures that are soft along one direction: motion, a shaken camera."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 16
_REACH = 4
_FAINT_CODES = 1.0
_FLOOR = 1e-4
_WAYS = {0: (0, 1), 45: (1, 1), 90: (1, 0), 135: (1, -1)}
"""By degrees, the step down and across to the next pixel on the way."""


class MotionBlur:
    """How much steepness is left when luma is averaged over 4 px along the way on which most is left.

    For four ways through the picture: differences of pixels 4 steps apart, over 4, against those of neighbours, each as
    the fourth root of the mean fourth power (a ten-thousandth of the largest way's is added): the steepest places
    decide, and noise and shading weigh nothing. About 0.35 where they are edges of one pixel, 1 where something has
    moved by 4 px and more. Motion leaves edges along itself sharp, which hides it from detectors that look at the
    strongest edges; these are not seen here on the way of the motion. Sees every other softness too. High by right
    where nothing sharp crosses one of the ways; `no_edges` where the mean fourth power is below one code's.
    """

    name: ClassVar[str] = "motion_blur"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "ratio"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        near, far = _powers(batch.luma)
        return scored(_left(near, far).amax(1), self.range, no_edges=near.amax(1) < _FAINT_CODES)

    def explain(self, batch: Batch, index: int) -> Evidence:
        left = _left(*_powers(batch.luma[index : index + 1]))[0].cpu()
        degrees = torch.tensor(list(_WAYS), dtype=torch.float64)
        worst, best = int(left.argmax()), int(left.argmin())
        return Evidence(
            "Sharp pictures keep little on every way; a peak is the direction of the motion.",
            curve=Curve(
                floats(degrees),
                (Line("steepness left", floats(left)),),
                "direction, degrees (0 across, 90 down)",
                "ratio",
                marks=(float(degrees[worst]),),
            ),
            facts=(
                ("softest along", f"{degrees[worst]:.0f} degrees"),
                ("sharpest along", f"{degrees[best]:.0f} degrees ({float(left[best]):.3f})"),
            ),
        )


def _powers(luma: Float[Tensor, "b h w"]) -> tuple[Float[Tensor, "b 4"], Float[Tensor, "b 4"]]:
    """Mean fourth power of the differences on each way: of neighbours, and over 4 steps."""
    # One by one: a CPU's cache holds a picture's differences, of a batch it does not.
    near = [torch.stack([_power(one, *way, 1) for way in _WAYS.values()]) for one in luma]
    far = [torch.stack([_power(one, *way, _REACH) for way in _WAYS.values()]) for one in luma]
    return torch.stack(near), torch.stack(far)


def _power(luma: Float[Tensor, "h w"], down: int, across: int, reach: int) -> Float[Tensor, ""]:
    height, width = luma.shape
    tall, wide = height - reach * down, width - reach * abs(across)
    first, second = max(0, -across) * reach, max(0, across) * reach
    steps = luma[reach * down :, second : second + wide] - luma[:tall, first : first + wide]
    # A row's mean in float32, the rows' in float64: sums of fourth powers are too long for float32 alone.
    return steps.square_().square_().mean(1).double().mean() / reach**4


def _left(near: Float[Tensor, "b 4"], far: Float[Tensor, "b 4"]) -> Float[Tensor, "b 4"]:
    floor = _FLOOR * near.amax(1, keepdim=True)
    return (far / (near + floor).clamp(min=1e-12)).sqrt().sqrt()
