"""Particles that follow the gradient with exact scores and ratios: how fast each divergence fills a neglected mode."""

import itertools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.distill.analytic import GaussianMixture
from qcgen.distill.blend import known_divergences
from qcgen.distill.loss import Posteriors, matching_gradient
from qcgen.distill.protocol import Divergence
from qcgen.distill.selfcheck import Check

CENTRE, DEVIATION, START_SHARE = 4.0, 0.7, 0.05
STEPS, STEP = 400, 0.05
PARTICLES = 400
SIGMAS = (0.3, 10.0)
CLIP = (0.1, 20.0)
CHAIN = ("neyman", "softened_reverse_kl", "reverse_kl", "jeffreys")
SEEDS = (0, 1)
TIE = ("squared_hellinger", "forward_kl", "jensen_shannon")
NEGLECTED = {
    "neyman": 0.055,
    "softened_reverse_kl": 0.215,
    "reverse_kl": 0.314,
    "jeffreys": 0.360,
    "squared_hellinger": 0.383,
    "forward_kl": 0.391,
    "jensen_shannon": 0.399,
}
"""The neglected mode's share of the particles in the design note."""


@dataclass(frozen=True, slots=True)
class FlowReport:
    """Shares of the particles, 0 to 1: in the mode that began nearly empty (truth .5), and between the two modes."""

    neglected: float
    junk: float


def flow(divergence: Divergence, *, seed: int, normaliser: Literal["batch", "sample"] = "batch") -> FlowReport:
    """Move the particles of a student for `STEPS` steps; 5 % of them begin in the right one of two equal modes.

    The student is the particles themselves, so that at every noise level its density is a known mixture.
    """
    generator = torch.Generator().manual_seed(seed)
    deviations = torch.full((2,), DEVIATION)
    teacher = GaussianMixture(torch.full((2,), 0.5), torch.tensor([[-CENTRE], [CENTRE]]), deviations)
    right = torch.arange(PARTICLES) < START_SHARE * PARTICLES
    x = torch.where(right, CENTRE, -CENTRE) + DEVIATION * torch.randn(PARTICLES, generator=generator)
    low, high = (math.log(sigma) for sigma in SIGMAS)
    for _ in range(STEPS):
        level = torch.rand(PARTICLES, generator=generator)
        sigma = (low + (high - low) * level).exp()
        x_t = x + sigma * torch.randn(PARTICLES, generator=generator)
        one = torch.ones_like(sigma)
        mean_p = teacher.posterior_mean(x_t[:, None], one, sigma)[:, 0]
        mean_q, log_q = _student(x_t, x, sigma)
        log_p = _teacher_log_density(x_t, sigma)
        weight = divergence.weight((log_p - log_q).clamp(math.log(CLIP[0]), math.log(CLIP[1])))
        distance = (x - mean_p).abs()
        gradient = matching_gradient(
            Posteriors(mean_p[:, None, None, None], None, mean_q[:, None, None, None]),
            weight / weight.mean(),
            guidance_scale=1.0,
            decoupled=False,
            scale=distance if normaliser == "sample" else distance.mean().expand_as(distance),
        )[:, 0, 0, 0]
        x = x - STEP * gradient
    between = (x.abs() < CENTRE - 3 * DEVIATION).float().mean().item()
    return FlowReport((x > 0).float().mean().item(), between)


def _student(
    x_t: Float[Tensor, " n"], particles: Float[Tensor, " n"], sigma: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Posterior mean and log density of the particles' mixture, each at its own noise level."""
    far = -(x_t[:, None] - particles).square() / (2 * sigma.square()[:, None])
    log_q = far.logsumexp(1) - sigma.log() - math.log(len(particles)) - 0.5 * math.log(2 * math.pi)
    return far.softmax(1) @ particles, log_q


def _teacher_log_density(x_t: Tensor, sigma: Tensor) -> Tensor:
    variance = DEVIATION**2 + sigma.square()
    far = [-(x_t - centre).square() / (2 * variance) for centre in (-CENTRE, CENTRE)]
    return torch.logaddexp(*far) - 0.5 * (2 * math.pi * variance).log() - math.log(2)


class Flow:
    """Shares of the neglected mode after 400 steps in the order of the divergences; what the normaliser of each sample
    does to it."""

    name: ClassVar[str] = "flow"
    title: ClassVar[str] = "Exact particles: mass that reaches a neglected mode"

    def checks(self) -> Iterator[Check]:
        known = known_divergences()
        reports = {name: [flow(known[name](), seed=seed) for seed in SEEDS] for name in (*CHAIN, *TIE)}
        filled = {name: statistics.mean(report.neglected for report in each) for name, each in reports.items()}
        for left, right in itertools.pairwise(CHAIN):
            # The design note's gap; its deviations over seeds are .002 to .003 there.
            yield Check(f"{right} fills more than {left}", "18", filled[right] - filled[left], 0.03, 0.0, "at_least")
        tie = statistics.mean(filled[name] for name in TIE)
        named = "Hellinger, forward KL and Jensen-Shannon on average fill more than jeffreys"
        yield Check(named, "18", tie - filled["jeffreys"], 0.03, 0.0, "at_least")
        for name, expected in NEGLECTED.items():
            # Two seeds of 400 particles; the note's own spread reaches .015, and it does not state its noise levels.
            yield Check(f"{name}: share of the neglected mode", "18", filled[name], expected, 0.06)
        for name in ("forward_kl", "jensen_shannon"):
            each = [flow(known[name](), seed=seed, normaliser="sample") for seed in SEEDS]
            more = statistics.mean(r.junk for r in each) - statistics.mean(r.junk for r in reports[name])
            yield Check(f"{name}: junk added by the normaliser of each sample", "19", more, 0.03, 0.0, "at_least")
