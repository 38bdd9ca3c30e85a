"""Identities of the density ratio, bounds, and the data-processing inequality along the noise."""

import itertools
import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch.nn import functional as F

from qcgen.distill.analytic import mixture_1d
from qcgen.distill.blend import known_divergences
from qcgen.distill.divergences.forward_kl import ForwardKl
from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.divergences.reverse_kl import ReverseKl
from qcgen.distill.quadrature import Line
from qcgen.distill.selfcheck import Check
from qcgen.distill.values import sample_value

TEACHER = mixture_1d((0.6, -1.5, 0.7), (0.4, 1.2, 0.5))
SIGMAS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


class Identities:
    """E_q[r] = E_p[1/r] = 1, JSD = ln 2 - L_D / 2, bounds, Pinsker, monotone in the noise, values from samples."""

    name: ClassVar[str] = "identities"
    title: ClassVar[str] = "Density ratio, bounds, data processing"

    def checks(self) -> Iterator[Check]:
        for sigma in (0.1, 1.0):
            yield from self._ratio(sigma)
        yield from self._score()
        yield from self._processing()
        yield from self._bounds()
        yield from self._samples()

    def _ratio(self, sigma: float) -> Iterator[Check]:
        line = Line(TEACHER, 0.3, 1.1, sigma)
        log_p, log_q = line.log_densities()
        log_r = log_p - log_q
        # Smooth integrands that vanish at the rim: the sum is exact to rounding, 6,000 terms of it.
        mean = (log_q + log_r).exp().sum().item() * line.spacing
        inverse = (log_p - log_r).exp().sum().item() * line.spacing
        yield Check(f"E_q[r], sigma {sigma:g}", "6", mean, 1.0, 1e-10)
        yield Check(f"E_p[1/r], sigma {sigma:g}", "6", inverse, 1.0, 1e-10)
        best = (log_p.exp() * F.softplus(-log_r) + log_q.exp() * F.softplus(log_r)).sum().item() * line.spacing
        jsd = line.divergence(JensenShannon()).value
        found = math.nan if jsd is None else jsd / 4
        yield Check(f"JSD = ln 2 - L_D / 2, sigma {sigma:g}", "6", found, math.log(2) - best / 2, 1e-10)

    def _score(self) -> Iterator[Check]:
        teacher, student = TEACHER.noised(1.0, 0.3), mixture_1d((1.0, 0.3, 1.1)).noised(1.0, 0.3)
        x = torch.linspace(-6, 6, 241, dtype=torch.float64)[:, None].requires_grad_(True)
        (slope,) = torch.autograd.grad((teacher.log_density(x) - student.log_density(x)).sum(), x)
        off = (slope - (teacher.score(x) - student.score(x))).abs().max().item()
        yield Check("grad ln r - (s_p - s_q)", "6", off, 0.0, 1e-10)
        mean = teacher.score(x) * 0.3**2 + x
        one = torch.ones(len(x), dtype=torch.float64)
        tweedie = TEACHER.posterior_mean(x, one, 0.3 * one)
        yield Check("posterior mean - (x + sigma^2 score)", "1.8", (mean - tweedie).abs().max().item(), 0.0, 1e-10)

    def _processing(self) -> Iterator[Check]:
        for name, kind in known_divergences().items():
            values = [Line(TEACHER, 0.3, 1.1, sigma).divergence(kind()).value for sigma in SIGMAS]
            finite = [value for value in values if value is not None]
            rises = max(right - left for left, right in itertools.pairwise(finite))
            yield Check(f"{name}: largest rise of D_f along the noise", "8", rises, 0.0, 1e-9, "at_most")

    def _bounds(self) -> Iterator[Check]:
        apart = Line(mixture_1d((1.0, -14.0, 1.0)), 14.0, 1.0)
        for name, kind in known_divergences().items():
            bound = kind().facts.bound
            if math.isfinite(bound):
                found = apart.divergence(kind()).value
                # At 28 deviations the affinity exp(-28^2 / 8) is 3e-43; what remains is the sum's rounding.
                yield Check(f"{name}: D_f of far densities", "8", math.nan if found is None else found, bound, 1e-9)
        for mean in (0.2, 1.0, 3.0):
            line = Line(TEACHER, mean, 1.1)
            log_p, log_q = line.log_densities()
            variation = (log_p.exp() - log_q.exp()).abs().sum().item() * line.spacing / 2
            reverse = line.divergence(ReverseKl()).value
            limit = math.nan if reverse is None else math.sqrt(reverse / 2)
            yield Check(
                f"total variation <= sqrt(reverse KL / 2), mean {mean:g}", "8", variation, limit, 0.0, "at_most"
            )

    def _samples(self) -> Iterator[Check]:
        shift, n = 1.0, 2**17
        z = torch.randn(n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        for name, kind, truth in (("reverse_kl", ReverseKl, shift**2 / 2), ("forward_kl", ForwardKl, shift**2 / 2)):
            found = sample_value(kind(), shift * z - shift**2 / 2)
            off = math.nan if found.value is None else (found.value - truth) / found.error
            yield Check(f"{name} from {n:,} samples, in standard errors", "values", off, 0.0, 4.0)
        # Student N(0, 1.1^2) under a teacher N(0, .7^2): the Neyman integrand's tail has shape 1.47, no mean exists.
        x = 1.1 * z
        log_ratio = math.log(1.1 / 0.7) + x.square() / 2 * (1 / 1.1**2 - 1 / 0.7**2)
        told = not sample_value(known_divergences()["neyman"](), log_ratio).finite
        yield Check("neyman from samples with fat tails: told to be infinite", "2", float(told), 1.0, 0.0)
