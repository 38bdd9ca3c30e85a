"""Ripples beside strong edges: too steep a low-pass somewhere on the way."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored
from qcgen.qc.strongest import strongest

_SMALLEST = 64
_STRONGEST = 0.01
_FAINT_CODES = 8.0
_REACH = 8
_NEAR = 3
_FEWEST = 8


class Ringing:
    """How much the mean profile across strong edges wavers 3 to 8 px from them, as a share of the edges' steps.

    Edges are local maxima of luma's difference along an axis among its strongest hundredth, 8 codes or more. Their
    profiles, turned so that all rise, are added up: ripples are in step with their edge and stay, texture is not and
    vanishes. Mean absolute second difference of the sum over the sum of steps, the larger of both axes; 0 without
    edges. Sees ripples of the whole picture, not JPEG's, which come and go by block, and no wide halos. Lines and
    stripes of one width waver by right, and wide blurs waver a little.
    """

    name: ClassVar[str] = "ringing"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "share of the step"
    range: ClassVar[tuple[float, float]] = (0.0, 4.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        axes = [torch.stack([_wavering(one) for one in lines]) for lines in (batch.planes.across, batch.planes.down)]
        return scored(axes[0].maximum(axes[1]), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        lines = (batch.planes.across[index], batch.planes.down[index])
        worse = int(_wavering(lines[1]) > _wavering(lines[0]))
        profile, steps, edges = _profile(lines[worse])
        # From the mean before the edge, in shares of the steps: an edge without ripples goes from 0 to about 1.
        rise = (profile - profile[:_REACH].mean()) / steps.clamp(min=1e-6)
        return Evidence(
            "The mean profile across the strongest edges. It should be level on either side; ripples waver there.",
            curve=Curve(
                floats(torch.arange(-_REACH, _REACH + 2)),
                (Line(f"{('across', 'down')[worse]}, {edges} edges", floats(rise)),),
                "distance from the edge, px",
                "share of the step",
                marks=(float(-_NEAR), float(_NEAR + 1)),
            ),
        )


def _wavering(lines: Float[Tensor, "n w"]) -> Float[Tensor, ""]:
    """Of one picture."""
    profile, steps, edges = _profile(lines)
    if edges < _FEWEST:
        return lines.new_tensor(0.0, dtype=torch.float64)
    bend = (profile[2:] - 2 * profile[1:-1] + profile[:-2]).abs()
    away = _REACH - _NEAR
    return torch.cat([bend[:away], bend[-away:]]).mean() / steps


def _profile(lines: Float[Tensor, "n w"]) -> tuple[Float[Tensor, " p"], Float[Tensor, ""], int]:
    """Sum of the profiles across one picture's strong edges, sum of their steps, and how many there are."""
    step = lines[:, 1:] - lines[:, :-1]
    size = step.abs()
    # Only edges that have the whole profile inside.
    inner = size[:, _REACH:-_REACH]
    width = inner.shape[1]
    strong = strongest(inner.flatten(), max(1, round(_STRONGEST * inner.numel())), least=_FAINT_CODES)
    row = strong.div(width, rounding_mode="floor")
    column = strong - row * width + _REACH
    here, before, behind = (size[row, column + beside] for beside in (0, -1, 1))
    peaks = (here >= before) & (here > behind)
    row, column = row[peaks], column[peaks]
    steps = step[row, column].double()
    around = torch.arange(-_REACH, _REACH + 2, device=lines.device)
    profile = (lines[row[:, None], column[:, None] + around].double() * steps.sign()[:, None]).sum(0)
    return profile, steps.abs().sum(), len(row)
