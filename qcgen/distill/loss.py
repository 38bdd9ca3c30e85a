"""The gradient of the divergence at the student's samples, in x_0 space."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.distill.ratio import Ratio


@dataclass(frozen=True, slots=True)
class Posteriors:
    """Posterior means of x_0 at one x_t: the teacher's with and without the caption, and the fake score's."""

    teacher: Float[Tensor, "b c h w"]
    teacher_uncond: Float[Tensor, "b c h w"] | None
    fake: Float[Tensor, "b c h w"]

    def push(self, guidance_scale: float) -> Float[Tensor, "b c h w"]:
        """What guidance adds to the teacher's mean: (scale - 1) (mu_cond - mu_uncond)."""
        if self.teacher_uncond is None:
            return torch.zeros_like(self.teacher)
        return (guidance_scale - 1) * (self.teacher - self.teacher_uncond)


def weigh(weight: Float[Tensor, " b"], ratio: Ratio, *, mean: float) -> Float[Tensor, " b"]:
    """h, divided by its running mean, shrunk to 1 (reverse KL) where the ratio is not trusted.

    `mean` is carried over from earlier steps, so that the weight of a sample does not depend on its batch.
    """
    return 1 + ratio.trust * (weight / max(mean, 1e-6) - 1)


def distance_of(x_0: Float[Tensor, "b c h w"], means: Posteriors, *, guidance_scale: float) -> Float[Tensor, " b"]:
    """mean |x_0 - mu_teacher| per picture, with the guided mean."""
    return (x_0 - means.teacher - means.push(guidance_scale)).abs().mean((1, 2, 3))


def matching_gradient(
    means: Posteriors,
    weight: Float[Tensor, " b"],
    *,
    guidance_scale: float,
    decoupled: bool,
    scale: Float[Tensor, " b"] | None,
) -> Float[Tensor, "b c h w"]:
    """Gradient of D_f with respect to x_0, up to the normaliser: h (mu_fake - mu_teacher).

    With guidance, mu_teacher is the guided mean. `decoupled` puts h on the un-guided difference alone, because r is not
    the ratio of the sharpened distribution: h (mu_fake - mu_cond) - (scale - 1) (mu_cond - mu_uncond).

    Args:
        scale: what the gradient is divided by: the distance of each picture (DMD), that of its noise-level bin, or
            nothing, which leaves a weight of noise level alone and so an exact gradient of an f-divergence.

    Source: Xu et al. 2025, arXiv:2502.15681, eq. 1; Yin et al. 2024 for the normaliser.
    """
    h, push = weight[:, None, None, None], means.push(guidance_scale)
    split = h * (means.fake - means.teacher) - push
    gradient = split if decoupled else h * (means.fake - means.teacher - push)
    return gradient if scale is None else gradient / (scale[:, None, None, None] + 1e-6)
