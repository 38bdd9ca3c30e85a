"""The gradient of the divergence at the student's samples, in x_0 space."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Divergence
from qcgen.distill.ratio import Ratio


@dataclass(frozen=True, slots=True)
class Posteriors:
    """Posterior means of x_0 at one x_t: the teacher's with and without the caption, and the fake score's."""

    teacher: Float[Tensor, "b c h w"]
    teacher_uncond: Float[Tensor, "b c h w"] | None
    fake: Float[Tensor, "b c h w"]


def weigh(divergence: Divergence, ratio: Ratio) -> Float[Tensor, " b"]:
    """h(r), mean-normalised over the batch, shrunk to 1 (reverse KL) where the ratio is not trusted."""
    weight = divergence.weight(ratio.log_ratio)
    weight = weight / weight.mean().clamp(min=1e-6)
    return 1 + ratio.trust * (weight - 1)


def matching_gradient(
    x_0: Float[Tensor, "b c h w"],
    means: Posteriors,
    weight: Float[Tensor, " b"],
    *,
    guidance_scale: float,
    decoupled: bool,
    normaliser: str,
) -> Float[Tensor, "b c h w"]:
    """Gradient of D_f with respect to x_0, up to the normaliser: h (mu_fake - mu_teacher).

    With guidance, mu_teacher is the guided mean. `decoupled` puts h on the un-guided difference alone, because r is
    not the ratio of the
    sharpened distribution: h (mu_fake - mu_cond) - (scale - 1) (mu_cond - mu_uncond).

    Args:
        normaliser: `sample` divides by mean |x_0 - mu_teacher| per picture (DMD), `batch` by its mean over the
        batch, `sigma` not at all.

    Source: Xu et al. 2025, arXiv:2502.15681, eq. 1; Yin et al. 2024 for the normaliser.
    """
    h = weight.reshape(-1, 1, 1, 1)
    push = torch.zeros_like(x_0)
    if means.teacher_uncond is not None:
        push = (guidance_scale - 1) * (means.teacher - means.teacher_uncond)
    guided = means.teacher + push
    gradient = h * (means.fake - means.teacher) - push if decoupled else h * (means.fake - guided)
    if normaliser == "sigma":
        return gradient
    scale = (x_0 - guided).abs().mean((1, 2, 3), keepdim=True)
    if normaliser == "batch":
        scale = scale.mean(0, keepdim=True)
    return torch.nan_to_num(gradient / (scale + 1e-6))
