"""What a training shows of itself: the student's samples against a reference, and the ratio against the fake score."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.distill.material import StudentBatch
from qcgen.distill.networks import Networks
from qcgen.distill.ratio import score_cosine
from qcgen.distill.stop import Reference, StepFacts

_EDGE = 0.999


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The reference for the stop rules, the magnitude that 0.1 % of the reference exceed, and its energy in fine
    detail."""

    reference: Reference
    edge: float
    detail: float


def yardstick_of(latents: Float[Tensor, "n c h w"], *, batch: int) -> Yardstick:
    """What the student's samples should look like, from up to 4096 of `latents`; `batch` for the error of its means."""
    latents = latents[:4096].float()
    pictures = latents.mean((2, 3))
    reference = Reference(
        mean=_per_channel(pictures.mean(0)),
        std=_per_channel(latents.std((0, 2, 3))),
        standard_error=_per_channel(pictures.std(0) / batch**0.5),
    )
    # torch's quantile takes at most 16 million values.
    edge = float(torch.quantile(latents.abs().flatten()[: 2**23], _EDGE))
    return Yardstick(reference, edge, fine_detail(latents))


def step_facts(x_0: Float[Tensor, "b c h w"], *, step: int, grad_norm: float, loss: float) -> StepFacts:
    """What the stop rules see of a student step."""
    mean, std = x_0.mean((0, 2, 3)), x_0.std((0, 2, 3))
    finite = torch.isfinite(torch.cat([mean, std, torch.tensor([grad_norm, loss], device=mean.device)])).all()
    return StepFacts(step, bool(finite), grad_norm, _per_channel(mean), _per_channel(std))


def sample_numbers(x_0: Float[Tensor, "b c h w"], yardstick: Yardstick) -> dict[str, float]:
    """Deviation, share of extreme values and fine detail of the student's samples, each relative to the reference (1 is
    right): over-saturation and peppery texture show here first."""
    usual = sum(yardstick.reference.std) / len(yardstick.reference.std)
    return {
        "std_ratio": float(x_0.std((0, 2, 3)).mean()) / max(usual, 1e-12),
        "saturation": float((x_0.abs() > yardstick.edge).float().mean()) / (1 - _EDGE),
        "detail_ratio": fine_detail(x_0) / max(yardstick.detail, 1e-12),
    }


def fine_detail(latents: Float[Tensor, "b c h w"]) -> float:
    """Mean square of the difference between each place and its four neighbours' mean; 0 for a single place."""
    if min(latents.shape[2:]) < 3:
        return 0.0
    channels = latents.shape[1]
    kernel = torch.tensor([[0.0, -0.25, 0.0], [-0.25, 1.0, -0.25], [0.0, -0.25, 0.0]], device=latents.device)
    return float(F.conv2d(latents, kernel.expand(channels, 1, 3, 3), groups=channels).square().mean())


def agreement(networks: Networks, batch: StudentBatch, x_0: Float[Tensor, "b c h w"]) -> float:
    """Mean cosine between the gradient of the discriminator's logit and s_teacher - s_fake: do both tell the same
    ratio?

    With features of the fake score the gradient flows through it, but it learns nothing here.
    """
    backbone, at = networks.feature_teacher(), batch.at_match
    alpha, sigma = backbone.noising.coefficients(at.t, x_0)
    x_t = at.apply(backbone.noising, x_0).requires_grad_(True)
    logits = networks.logits(backbone.features(x_t, at.t, batch.cond), batch.cond)
    gradient = torch.autograd.grad(logits.sum(), x_t)[0]
    with torch.no_grad():
        means = [one.denoise(x_t, at.t, batch.cond) for one in (networks.teacher, networks.fake)]
        difference = alpha * (means[0] - means[1]) / sigma.square()
    return float(score_cosine(gradient, difference).mean())


def _per_channel(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
