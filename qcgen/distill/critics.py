"""One optimiser step of the fake score and of the discriminator."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec
from qcgen.distill.discriminator import discriminator_loss, gradient_penalty
from qcgen.distill.material import CriticBatch, parts_of
from qcgen.distill.networks import Networks
from qcgen.distill.ratio import RatioEstimator


def update_critics(
    spec: DistillSpec, networks: Networks, ratio: RatioEstimator, batch: CriticBatch, *, clock: Clock
) -> dict[str, Tensor]:
    """Denoising loss on fresh student samples; logistic loss of data against them, with a gradient penalty.

    Gradients of all micro-batches are summed before either network steps; the ratio's statistics are committed once.

    Args:
        batch: this process's part of the step's batch.

    Returns:
        fake_loss, d_loss, d_accuracy: means over this part.
    """
    totals: dict[str, Tensor] = {}
    for part in parts_of(batch, spec.optim.accumulate):
        with clock.stage("student"), torch.no_grad():
            x_0 = networks.generate(networks.student, part.noise, part.cond)
        with clock.stage("fake"):
            loss = fake_loss(networks, part, x_0)
            (loss / spec.optim.accumulate).backward()
        numbers = {"fake_loss": loss.detach(), **_discriminate(spec, networks, ratio, part, x_0, clock=clock)}
        totals = {name: totals.get(name, 0.0) + value / spec.optim.accumulate for name, value in numbers.items()}
    networks.step("fake", clock)
    networks.step("discriminator", clock)
    ratio.commit_critic()
    return totals


def fake_loss(networks: Networks, part: CriticBatch, x_0: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean squared error in the network's own prediction space."""
    noising = networks.fake.noising
    output = networks.fake.predict(part.at_fake.apply(noising, x_0), part.at_fake.t, part.cond)
    return F.mse_loss(output, noising.target(x_0, part.at_fake.noise, part.at_fake.t))


def _discriminate(
    spec: DistillSpec,
    networks: Networks,
    ratio: RatioEstimator,
    part: CriticBatch,
    x_0: Tensor,
    *,
    clock: Clock,
) -> dict[str, Tensor]:
    backbone = networks.feature_teacher()
    noising = backbone.noising
    clean, sides = [x_0, part.real], [part.at_fake, part.at_real]
    if spec.gan.r1 > 0:
        # Perturb first, then noise with the same time and the same draw: only the clean picture differs.
        clean.append(part.real + spec.gan.r1_sigma * part.shake)
        sides.append(part.at_real)
    x_t = torch.cat([side.apply(noising, one) for side, one in zip(sides, clean, strict=True)])
    cond = torch.cat([part.cond] * len(sides))
    with clock.stage("teacher"), torch.no_grad():
        maps = backbone.features(x_t, torch.cat([side.t for side in sides]), cond)
    with clock.stage("discriminator"):
        logits = networks.logits(maps, cond).chunk(len(sides))
        fake, real = logits[0], logits[1]
        loss = discriminator_loss(real, fake)
        if spec.gan.r1 > 0:
            loss = loss + spec.gan.r1 / 2 * gradient_penalty(real, logits[2], sigma=spec.gan.r1_sigma)
        (loss / spec.optim.accumulate).backward()
        ratio.collect_fake(fake, part.at_fake.level)
        ratio.collect_real(real, part.at_real.level)
    right = ((real > 0).float().mean() + (fake < 0).float().mean()) / 2
    return {"d_loss": loss.detach(), "d_accuracy": right}
