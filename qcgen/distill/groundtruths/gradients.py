"""The gradient theorem against differences of quadratures and closed forms; divergences that are infinite."""

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch.nn import functional as F

from qcgen.distill.analytic import mixture_1d
from qcgen.distill.blend import known_divergences
from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.divergences.softened_reverse_kl import SoftenedReverseKl
from qcgen.distill.loss import Posteriors, matching_gradient
from qcgen.distill.protocol import Divergence
from qcgen.distill.quadrature import Line
from qcgen.distill.selfcheck import Check

TEACHER = mixture_1d((0.6, -1.5, 0.7), (0.4, 1.2, 0.5))
MEAN, DEVIATION = 0.3, 1.1
INFINITE = {("neyman", 0.0), ("neyman", 0.3)}
"""The student's tails there are fatter than sqrt 2 times the teacher's widest ones."""


class Gradients:
    """Eq. 1 against finite differences and closed forms; infinite divergences are told, not numbered."""

    name: ClassVar[str] = "gradients"
    title: ClassVar[str] = "Gradient of D_f = E_q[h (s_q - s_p) dx_0/dtheta]"

    def checks(self) -> Iterator[Check]:
        for name, kind in known_divergences().items():
            for sigma in (0.0, 0.3, 1.0):
                yield from self._theorem(name, kind(), sigma)
        yield from self._closed_forms()
        yield from self._infinite()
        yield from self._fixed_point()
        yield from self._gan()

    def _theorem(self, name: str, divergence: Divergence, sigma: float) -> Iterator[Check]:
        line = Line(TEACHER, MEAN, DEVIATION, sigma)
        finite = line.divergence(divergence).finite
        if (name, sigma) in INFINITE:
            yield Check(f"{name}, sigma {sigma:g}: told to be infinite", "2", float(not finite), 1.0, 0.0)
            return
        step = 1e-4
        ends = [
            [Line(TEACHER, MEAN + sign * step, DEVIATION, sigma) for sign in (1, -1)],
            [Line(TEACHER, MEAN, DEVIATION * math.exp(sign * step), sigma) for sign in (1, -1)],
        ]
        found = line.gradient(divergence)
        values = [[one.divergence(divergence).value for one in pair] for pair in ends]
        slopes = [math.nan if up is None or down is None else (up - down) / (2 * step) for up, down in values]
        off = max(abs(a - b) for a, b in zip(found, slopes, strict=True)) / max(map(abs, slopes))
        # A central difference of step 1e-4 is off by the third derivative times 1e-8 / 6: 1e-5 leaves room for Pearson.
        yield Check(f"{name}, sigma {sigma:g}: relative error of the gradient", "2", off, 0.0, 1e-5)

    def _closed_forms(self) -> Iterator[Check]:
        known = known_divergences()
        var_p, var_q, mean = 1.0, 1.3, 0.8
        line = Line(mixture_1d((1.0, 0.0, math.sqrt(var_p))), mean, math.sqrt(var_q))
        both = var_p + var_q
        overlap = math.sqrt(2 * math.sqrt(var_p * var_q) / both) * math.exp(-(mean**2) / (4 * both))
        wide_p, wide_q = 2 * var_p - var_q, 2 * var_q - var_p
        neyman = var_p / math.sqrt(var_q * wide_p) * math.exp(mean**2 / wide_p)
        pearson = var_q / math.sqrt(var_p * wide_q) * math.exp(mean**2 / wide_q)
        # The design note's forms times 1 / f''(1): Jeffreys 1/2, Hellinger form A 4, both chi-squares 1/2.
        expected = {
            "reverse_kl": mean / var_p,
            "forward_kl": mean / var_q,
            "jeffreys": (mean / var_p + mean / var_q) / 2,
            "squared_hellinger": 4 * overlap * mean / (2 * both),
            "neyman": mean * neyman / wide_p,
            "pearson": mean * pearson / wide_q,
        }
        for name, truth in expected.items():
            found, _ = line.gradient(known[name]())
            # Smooth and vanishing at both ends: the sum converges to rounding; 1e-9 as in the design note.
            yield Check(f"{name}: dD/dmean of two Gaussians", "3", found, truth, 1e-9)

    def _infinite(self) -> Iterator[Check]:
        known = known_divergences()
        wide, narrow = math.sqrt(2.0), 1.0
        for name, deviations, finite in (
            ("pearson", (wide * 1.05, narrow), 0.0),
            ("pearson", (wide * 0.95, narrow), 1.0),
            ("neyman", (narrow, wide * 1.05), 0.0),
            ("neyman", (narrow, wide * 0.95), 1.0),
            ("reverse_kl", (narrow, wide * 1.05), 1.0),
        ):
            value = Line(mixture_1d((1.0, 0.0, deviations[0])), 0.5, deviations[1]).divergence(known[name]())
            named = f"{name}, teacher N(0, {deviations[0]:.2f}^2), student N(0.5, {deviations[1]:.2f}^2): finite"
            yield Check(named, "3", float(value.finite), finite, 0.0)

    def _fixed_point(self) -> Iterator[Check]:
        generator = torch.Generator().manual_seed(0)
        mean = torch.randn((64, 2, 1, 1), generator=generator)
        weight = torch.rand(64, generator=generator) * 20
        gradient = matching_gradient(
            Posteriors(mean, None, mean), weight, guidance_scale=1.0, decoupled=False, scale=None
        )
        yield Check("gradient where both scores agree", "4", gradient.abs().max().item(), 0.0, 0.0)

    def _gan(self) -> Iterator[Check]:
        student = mixture_1d((1.0, MEAN, DEVIATION))
        x = torch.linspace(-4, 4, 161, dtype=torch.float64)[:, None].requires_grad_(True)
        logit = TEACHER.log_density(x) - student.log_density(x)
        difference = (student.score(x) - TEACHER.score(x))[:, 0]
        softened, saturating = SoftenedReverseKl().weight(logit) / 2, JensenShannon().weight(logit) / 2
        for name, loss, weight in (
            ("non-saturating GAN loss = softened reverse KL", F.softplus(-logit), softened),
            ("saturating GAN loss = Jensen-Shannon", -F.softplus(logit), saturating),
        ):
            (found,) = torch.autograd.grad(loss.sum(), x, retain_graph=True)
            off = (found[:, 0] - weight * difference).abs().max().item()
            # Both sides are exact; scores reach 30 here, of which float64 keeps 1e-14.
            yield Check(f"{name}: largest difference of the gradients", "7", off, 0.0, 1e-8)
