"""The gradient as a distillation computes it, from samples, against quadrature; what clipping and small bins cost."""

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from qcgen.core.distillspec import DivergenceSpec
from qcgen.distill.analytic import mixture_1d
from qcgen.distill.blend import known_divergences, read_blend
from qcgen.distill.loss import Posteriors, distance_of, matching_gradient
from qcgen.distill.quadrature import Line
from qcgen.distill.selfcheck import Check

CLIP = (0.1, 20.0)
EFFECTIVE = {
    1.0: {"softened_reverse_kl": 0.90, "jensen_shannon": 0.80, "squared_hellinger": 0.78, "forward_kl": 0.37},
    2.0: {"softened_reverse_kl": 0.91, "jensen_shannon": 0.45, "squared_hellinger": 0.37, "forward_kl": 0.018},
    3.0: {"softened_reverse_kl": 0.95, "jensen_shannon": 0.20, "squared_hellinger": 0.11, "forward_kl": 1e-4},
}
"""Share of the samples that a weight makes use of, by the distance of two unit Gaussians; no clipping."""
KEPT = {1: 0.0, 2: 0.55, 4: 0.81, 8: 0.90, 64: 0.99}
"""Share of the variance of ln r that is left when the n samples of a bin are divided by their own mean ratio."""


class MonteCarlo:
    """Eq. 1 sampled through `loss.matching_gradient`; two-stage backward; effective samples, clipping, small bins."""

    name: ClassVar[str] = "montecarlo"
    title: ClassVar[str] = "Sampled gradient, variance, clipping, small bins"

    def checks(self) -> Iterator[Check]:
        for name in ("reverse_kl", "softened_reverse_kl", "jensen_shannon", "squared_hellinger"):
            yield from self._sampled(name, teacher_mean=-1.5)
        # These weights grow with r: only near the teacher have 2^18 samples an error that a test can use.
        for name in ("forward_kl", "jeffreys"):
            yield from self._sampled(name, teacher_mean=-0.6)
        yield from self._two_stage()
        yield from self._effective()
        yield from self._clipped()
        yield from self._small_bins()

    def _sampled(self, name: str, *, teacher_mean: float) -> Iterator[Check]:
        n, sigma, mean, deviation = 2**18, 0.5, 0.3, 1.1
        teacher = mixture_1d((0.6, teacher_mean, 0.7), (0.4, 1.2, 0.5))
        line = Line(teacher, mean, deviation, sigma)
        generator = torch.Generator().manual_seed(11)
        parameters = torch.tensor([mean, math.log(deviation)], dtype=torch.float64, requires_grad=True)
        z, noise = torch.randn((2, n), generator=generator, dtype=torch.float64)
        x_0 = parameters[0] + parameters[1].exp() * z
        x_t = (x_0.detach() + sigma * noise)[:, None]
        one = torch.ones(n, dtype=torch.float64)
        log_ratio = teacher.noised(1.0, sigma).log_density(x_t) - line.student.noised(1.0, sigma).log_density(x_t)
        blend = read_blend(DivergenceSpec(name=name))
        weight = blend.weight(log_ratio, progress=0.5, log_snr=one)
        images = [m.posterior_mean(x_t, one, sigma * one)[:, :, None, None] for m in (teacher, line.student)]
        gradient = matching_gradient(
            Posteriors(images[0], None, images[1]),
            weight,
            guidance_scale=1.0,
            decoupled=False,
            scale=None,
        )
        # s_q - s_p = (mu_q - mu_p) / sigma^2 at alpha = 1.
        at_sample = gradient[:, 0, 0, 0] / sigma**2
        (found,) = torch.autograd.grad((x_0 * at_sample).mean(), parameters)
        spread = [at_sample.std().item(), (at_sample * parameters[1].detach().exp() * z).std().item()]
        truth = line.gradient(known_divergences()[name]())
        for label, value, true, deviation_of_one in zip(
            ("mean", "ln deviation"), found.tolist(), truth, spread, strict=True
        ):
            off = (value - true) / (deviation_of_one / math.sqrt(n))
            # Four standard errors: one check in 16,000 would fail by chance, and the seed is fixed.
            yield Check(f"{name}: sampled dD/d{label}, in standard errors", "11", off, 0.0, 4.0)

    def _two_stage(self) -> Iterator[Check]:
        torch.manual_seed(5)
        student = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 2, 3, padding=1)).double()
        critic = nn.Conv2d(2, 1, 3).double()
        noise, shift = torch.randn((2, 6, 2, 5, 5), dtype=torch.float64)
        means = Posteriors(torch.randn_like(noise), None, torch.randn_like(noise))
        weight = torch.rand(6, dtype=torch.float64)

        def adversarial(x_0: torch.Tensor) -> torch.Tensor:
            return 0.3 * F.softplus(-critic(x_0 + 0.5 * shift).mean((1, 2, 3))).mean()

        def matching(x_0: torch.Tensor) -> torch.Tensor:
            scale = distance_of(x_0, means, guidance_scale=1.0)
            return matching_gradient(means, weight, guidance_scale=1.0, decoupled=False, scale=scale)

        x_0 = student(noise)
        joint = torch.autograd.grad((x_0 * matching(x_0.detach())).sum() + adversarial(x_0), list(student.parameters()))
        x_0 = student(noise)
        leaf = x_0.detach().requires_grad_(True)
        gan = torch.autograd.grad(adversarial(leaf), leaf)[0]
        dm = matching(leaf.detach())
        split = torch.autograd.grad(x_0, list(student.parameters()), dm + gan)
        off = max((a - b).abs().max().item() for a, b in zip(joint, split, strict=True))
        size = max(a.abs().max().item() for a in joint)
        # The same sums in another order.
        yield Check("two-stage backward - one graph, relative", "16", off / size, 0.0, 1e-12)
        both = dm.square().sum() + gan.square().sum() + 2 * (dm * gan).sum()
        yield Check("norm of both gradients as vectors", "16", (dm + gan).norm().item(), both.sqrt().item(), 1e-12)

    def _effective(self) -> Iterator[Check]:
        known = known_divergences()
        for shift, table in EFFECTIVE.items():
            log_p, log_q = Line(mixture_1d((1.0, shift, 1.0)), 0.0, 1.0).log_densities()
            for name, expected in table.items():
                weight = known[name]().weight(log_p - log_q)
                density = log_q.exp() / log_q.exp().sum()
                found = ((density * weight).sum().square() / (density * weight.square()).sum()).item()
                # The table has two digits.
                yield Check(f"{name}: effective samples at distance {shift:g}", "2.2", found, expected, 0.006)
        for alpha in (-1.0, 0.25, 0.5, 1.0):
            log_p, log_q = Line(mixture_1d((1.0, 1.0, 1.0)), 0.0, 1.0).log_densities()
            weight = known["alpha"](alpha=alpha).weight(log_p - log_q)
            density = log_q.exp() / log_q.exp().sum()
            found = ((density * weight).sum().square() / (density * weight.square()).sum()).item()
            yield Check(
                f"alpha={alpha:g}: effective samples = exp(-a^2 d^2)", "2.2", found, math.exp(-(alpha**2)), 1e-9
            )

    def _clipped(self) -> Iterator[Check]:
        for shift, share, mean in ((2.0, 0.45, 0.845), (3.0, 0.77, 0.50)):
            z = torch.randn(2**18, generator=torch.Generator().manual_seed(2))
            log_ratio = shift * z - shift**2 / 2
            clipped = log_ratio.clamp(*(math.log(end) for end in CLIP))
            # 2^18 samples of a ratio of at most 20: a standard error of .004 for the mean; the note allows .01.
            found = (clipped != log_ratio).float().mean().item()
            yield Check(f"share outside the clip at distance {shift:g}", "14", found, share, 0.01)
            yield Check(f"E_q[r] after the clip at distance {shift:g}", "14", clipped.exp().mean().item(), mean, 0.01)

    def _small_bins(self) -> Iterator[Check]:
        generator = torch.Generator().manual_seed(4)
        for n, expected in KEPT.items():
            log_ratio = torch.randn((2**15 // n, n), generator=generator, dtype=torch.float64) - 0.5
            normalised = log_ratio - log_ratio.exp().mean(1, keepdim=True).log()
            found = (normalised.var() / log_ratio.var()).item()
            # The design note's numbers; they fit shares of the variance, for unit Gaussians one deviation apart.
            yield Check(f"variance of ln r left by the mean of {n} in the bin", "12", found, expected, 0.03)
