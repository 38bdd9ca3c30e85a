"""One optimiser step of the student: gradients at its samples first, then through the student (two-stage backward)."""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec
from qcgen.distill.loss import Posteriors, distance_of, matching_gradient, weigh
from qcgen.distill.material import StudentBatch, parts_of
from qcgen.distill.networks import Networks
from qcgen.distill.ratio import RatioEstimator
from qcgen.models.noising import log_snr


class Weighting(Protocol):
    """h as a function of the ratio, of how far the training is and of the noise level."""

    def weight(
        self, log_ratio: Float[Tensor, " b"], *, progress: float, log_snr: Float[Tensor, " b"]
    ) -> Float[Tensor, " b"]: ...


@dataclass(frozen=True, slots=True)
class StudentReport:
    """What a step tells: numbers for the log, the student's samples, and the matching direction mu_fake - mu_teacher
    at them (for the lag probe)."""

    numbers: dict[str, float]
    x_0: Float[Tensor, "b c h w"]
    direction: Float[Tensor, "b c h w"]


@dataclass(frozen=True, slots=True)
class _Matched:
    gradient: Tensor
    direction: Tensor
    weight: Tensor
    clipped: float


def update_student(
    spec: DistillSpec,
    networks: Networks,
    ratio: RatioEstimator,
    batch: StudentBatch,
    weighting: Weighting,
    *,
    empty: Float[Tensor, "b k d"],
    progress: float,
    clock: Clock,
) -> StudentReport:
    """Step on h(r) (mu_fake - mu_teacher) and, in stage B, on the adversarial term.

    Args:
        batch: this process's part; the student steps on the mean over all parts.
        empty: the empty caption's condition, for guidance.
        progress: share of the steps done, 0..1.
    """
    report = add_gradients(spec, networks, ratio, batch, weighting, empty=empty, progress=progress, clock=clock)
    grad_norm = networks.step("student", clock)
    with clock.stage("optimiser"):
        networks.average()
    ratio.commit_student()
    return replace(report, numbers={**report.numbers, "grad_norm": grad_norm})


def add_gradients(
    spec: DistillSpec,
    networks: Networks,
    ratio: RatioEstimator,
    batch: StudentBatch,
    weighting: Weighting,
    *,
    empty: Float[Tensor, "b k d"],
    progress: float,
    clock: Clock,
) -> StudentReport:
    """Add a batch's gradients to the student's parameters; what `update_student` does before it steps.

    Neither gradient at the samples needs a graph through the student, so its own graph lives alone in memory and the
    two gradients have their own norms for nothing.

    Args:
        batch: this process's part, as `empty` is; what is reported is of all processes' parts.
    """
    ranks = networks.ranks
    adversarial = spec.gan.pulls_at(progress)
    squares = {"dm_norm": 0.0, "gan_norm": 0.0, "generator_norm": 0.0}
    samples, directions, weights, clipped = [], [], [], 0.0
    for part, blank in zip(parts_of(batch, spec.optim.accumulate), empty.chunk(spec.optim.accumulate), strict=True):
        with clock.stage("student"):
            x_0 = networks.generate(networks.student, part.noise, part.cond)
        leaf = x_0.detach()
        matched = _match(spec, networks, ratio, part, leaf, weighting, empty=blank, progress=progress, clock=clock)
        total = matched.gradient / batch.noise.numel()
        squares["dm_norm"] += float(total.square().sum())
        if adversarial:
            pull = adversarial_gradient(spec, networks, part, leaf, clock=clock) / spec.optim.accumulate
            squares["gan_norm"] += float(pull.square().sum())
            total = total + pull
        squares["generator_norm"] += float(total.square().sum())
        with clock.stage("student"):
            x_0.backward(torch.nan_to_num(total, nan=0.0, posinf=0.0, neginf=0.0))
        samples.append(leaf)
        directions.append(matched.direction)
        weights.append(matched.weight)
        clipped += matched.clipped / spec.optim.accumulate
    # Each process's gradient is the mean over its own part: of the whole batch's it is a `world`-th.
    *means, clipped = ranks.means([*squares.values(), clipped])
    norms = {name: math.sqrt(value / ranks.world) for name, value in zip(squares, means, strict=True)}
    return StudentReport(
        {**norms, "clipped": clipped, **_spread(ranks.gather(torch.cat(weights)))},
        ranks.gather(torch.cat(samples)),
        ranks.gather(torch.cat(directions)),
    )


def adversarial_gradient(
    spec: DistillSpec, networks: Networks, part: StudentBatch, leaf: Float[Tensor, "b c h w"], *, clock: Clock
) -> Float[Tensor, "b c h w"]:
    """Gradient of weight * softplus(-logit), averaged over the pictures, at the student's samples."""
    backbone = networks.feature_teacher()
    probe = leaf.clone().requires_grad_(True)
    x_t = part.at_gan.apply(backbone.noising, probe)
    with clock.stage("discriminator"):
        logits = networks.logits(backbone.features(x_t, part.at_gan.t, part.cond), part.cond)
        loss = spec.gan.weight * F.softplus(-logits).mean()
        return torch.autograd.grad(loss, probe)[0]


@torch.no_grad()
def _match(
    spec: DistillSpec,
    networks: Networks,
    ratio: RatioEstimator,
    part: StudentBatch,
    leaf: Tensor,
    weighting: Weighting,
    *,
    empty: Tensor,
    progress: float,
    clock: Clock,
) -> _Matched:
    noising, t, cond = networks.teacher.noising, part.at_match.t, part.cond
    x_t = part.at_match.apply(noising, leaf)
    with clock.stage("teacher"):
        means, maps = _teacher_means(spec, networks, x_t, t, cond, empty)
    with clock.stage("fake"):
        if spec.gan.features == "fake":
            fake, maps = networks.fake.denoise_with_features(x_t, t, cond)
        else:
            fake = networks.fake.denoise(x_t, t, cond)
    with clock.stage("discriminator"):
        read = ratio.read(networks.logits(maps, cond), part.at_match.level)
    posteriors = Posteriors(teacher=means[0], teacher_uncond=means[1], fake=fake)
    raw = weighting.weight(read.log_ratio, progress=progress, log_snr=log_snr(noising, t).float())
    distance = distance_of(leaf, posteriors, guidance_scale=spec.guidance_scale)
    ratio.collect_student(read, weight=raw, distance=distance)
    weight = weigh(raw, read, mean=float(ratio.mean_weight()))
    gradient = matching_gradient(
        posteriors,
        weight,
        guidance_scale=spec.guidance_scale,
        decoupled=spec.decoupled,
        scale=_scale(spec, ratio, read.bins, distance),
    )
    return _Matched(gradient, fake - means[0], weight, read.clipped_share)


def _teacher_means(
    spec: DistillSpec, networks: Networks, x_t: Tensor, t: Tensor, cond: Tensor, empty: Tensor
) -> tuple[tuple[Tensor, Tensor | None], list[Tensor]]:
    """mu with and without the caption, and the maps with the caption, from one call."""
    if spec.guidance_scale == 1:
        mean, maps = networks.teacher.denoise_with_features(x_t, t, cond)
        return (mean, None), maps
    both, maps = networks.teacher.denoise_with_features(
        torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([cond, empty])
    )
    mean, uncond = both.chunk(2)
    return (mean, uncond), [one[: len(x_t)] for one in maps]


def _scale(spec: DistillSpec, ratio: RatioEstimator, bins: Tensor, distance: Tensor) -> Tensor | None:
    if spec.normaliser == "sigma":
        return None
    if spec.normaliser == "sample":
        return distance
    carried = ratio.mean_distance().to(distance.device, distance.dtype)[bins]
    return torch.where(carried.isnan(), distance, carried)


def _spread(weight: Tensor) -> dict[str, float]:
    share = float(weight.mean().square() / weight.square().mean())
    return {"ess": share, "weight_low": float(weight.min()), "weight_high": float(weight.max())}
