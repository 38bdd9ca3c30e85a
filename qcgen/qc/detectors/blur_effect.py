"""Smeared pictures: motion and soft focus."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.evidence import Evidence, heat
from qcgen.qc.planes import some_at_a_time
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_REACH = 6
_SMALLEST = 32
_FAINT_CODES = 0.25
_EVERY_SECOND = 256
_CELLS = 16
_FEWEST_CODES = 1.0
_SHARP, _SOFT = 0.65, 1.0


class BlurEffect:
    """Share of the Sobel gradient that a mean over 11 px along its own axis leaves: the larger of both axes.

    sum min(|D x|, |D box(x)|) / sum |D x|: near 2/11 on sharp edges, 1 on ramps. Sees motion along one axis, which
    leaves the strongest edges of the other axis sharp. Counts every pixel (from a side of 256 on: of every second
    line), so that noise lowers it and smooth products raise it. `no_edges` where the mean gradient is below a quarter
    code.

    Source: Crete et al. 2007, "The blur effect"; as scikit-image's `blur_effect`, without the 6 px along the frame that
    the mean does not fit in.
    """

    name: ClassVar[str] = "blur_effect"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "ratio"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        kept, total = some_at_a_time(_kept, batch.luma).unbind(1)
        ratio = (kept / total.clamp(min=1e-6)).amax(1)
        faint = total.amax(1) < _FAINT_CODES
        return scored(ratio, self.range, no_edges=faint)

    def explain(self, batch: Batch, index: int) -> Evidence:
        axes = [_gradients(batch.luma[index : index + 1], dim) for dim in (1, 2)]
        ratios = [float(kept.double().mean() / sharp.double().mean().clamp(min=1e-6)) for kept, sharp in axes]
        worse = ratios.index(max(ratios))
        kept, sharp = (_in_cells(plane[0], 1 + worse) for plane in axes[worse])
        soft = torch.where(sharp > _FEWEST_CODES, kept / sharp.clamp(min=1e-6), 0)
        names = ("down", "across")
        return Evidence(
            f"Marked: where a mean over 11 px {names[worse]} the picture leaves the gradient as it was.",
            heat(soft, _SHARP, _SOFT, "ratio"),
            facts=tuple((name, f"{ratio:.3f}") for name, ratio in zip(names, ratios, strict=True)),
        )


def _kept(luma: Float[Tensor, "b h w"]) -> Float[Tensor, "b 2 2"]:
    """Mean gradient that the box leaves, and mean gradient, in codes a pixel, along each axis."""
    axes = [[one.mean(2).double().mean(1) for one in _gradients(luma, dim)] for dim in (1, 2)]
    return torch.stack([torch.stack(one, dim=1) for one in axes], dim=2)


def _gradients(luma: Float[Tensor, "b h w"], dim: int) -> tuple[Float[Tensor, "b hh ww"], Float[Tensor, "b hh ww"]]:
    """Gradient that the box leaves, and the gradient, at each place."""
    plane = _sobel_mean(luma, dim=3 - dim)
    length = plane.shape[dim] - 2 * _REACH

    def at(offset: int) -> Tensor:
        return plane.narrow(dim, _REACH + offset, length)

    sharp = (at(1) - at(-1)).abs_().mul_(0.5)
    # The difference of two means over 11 that lie 2 apart: only their ends differ.
    blurred = (at(5) + at(6)).sub_(at(-5)).sub_(at(-6)).abs_().mul_(1 / 22)
    return torch.minimum(sharp, blurred), sharp


def _in_cells(plane: Float[Tensor, "h w"], dim: int) -> Float[Tensor, "k k"]:
    """Mean over a lattice that covers the whole picture: along `dim` the mean over 11 did not reach the frame."""
    reach = (0, 0, _REACH, _REACH) if dim == 1 else (_REACH, _REACH, 0, 0)
    return F.adaptive_avg_pool2d(F.pad(plane, reach)[None], _CELLS)[0]


def _sobel_mean(luma: Float[Tensor, "b h w"], *, dim: int) -> Float[Tensor, "b hh ww"]:
    """1, 2, 1 over 4 along one axis; of large pictures every second line."""
    stride = 2 if min(luma.shape[1:]) >= _EVERY_SECOND else 1
    places = (slice(0, -2, stride), slice(1, -1, stride), slice(2, None, stride))
    first, middle, last = (luma[:, place] if dim == 1 else luma[:, :, place] for place in places)
    return (middle * 0.5).add_(first, alpha=0.25).add_(last, alpha=0.25)
