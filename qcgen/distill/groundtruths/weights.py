"""Weights and integrands against their formulas, mixtures against the sums of their parts."""

import math
from collections.abc import Iterator
from typing import ClassVar

import sympy
import torch
from torch import Tensor

from qcgen.distill.blend import Mixture, known_divergences
from qcgen.distill.protocol import Divergence
from qcgen.distill.selfcheck import Check

LOG_RATIOS = torch.linspace(math.log(1e-4), math.log(1e4), 41, dtype=torch.float64)
_R = sympy.Symbol("r", positive=True)


def settings() -> Iterator[tuple[str, Divergence]]:
    """Every divergence by registry, with its default parameters; the alpha family over its whole range."""
    known = known_divergences()
    for name, kind in known.items():
        yield name, kind()
    for alpha in (-1.0, -0.5, 0.0, 0.25, 1.0, 2.0):
        yield f"alpha={alpha:g}", known["alpha"](alpha=alpha)
    for name in ("skewed_jensen_shannon", "skewed_forward_kl", "skewed_reverse_kl"):
        for skew in (0.25, 0.75):
            yield f"{name} skew={skew:g}", known[name](skew=skew)


def measured_weight(divergence: Divergence, log_ratio: Tensor) -> tuple[Tensor, Tensor]:
    """(h by differentiating the integrand twice, its rounding): with g(l) = f(e^l), h = r^2 f'' = g'' - g'."""
    at = log_ratio.clone().requires_grad_(True)
    (first,) = torch.autograd.grad(
        divergence.perspective(at, torch.zeros_like(at)).sum(), at, create_graph=True, materialize_grads=True
    )
    (second,) = torch.autograd.grad(first.sum(), at, materialize_grads=True)
    # The two terms cancel: what is left of h is accurate to the last digits of the larger one.
    rounding = 16 * torch.finfo(torch.float64).eps * (1 + log_ratio.exp() + first.abs() + second.abs())
    return (second - first).detach(), rounding.detach()


class Weights:
    """h = r^2 f'' for every divergence, by double differentiation and by computer algebra; limits, bounds, mixtures."""

    name: ClassVar[str] = "weights"
    title: ClassVar[str] = "h(r) = r^2 f''(r) for every divergence and mixture"

    def checks(self) -> Iterator[Check]:
        for name, divergence in settings():
            yield from self._formula(name, divergence)
        yield from self._algebra()
        yield from self._mixtures()

    def _formula(self, name: str, divergence: Divergence) -> Iterator[Check]:
        found, rounding = measured_weight(divergence, LOG_RATIOS)
        weight = divergence.weight(LOG_RATIOS)
        # 1e-10 of h is the design note's limit; rounding in the double derivative comes on top.
        off = ((found - weight).abs() / (1e-10 * weight + rounding)).max().item()
        yield Check(f"{name}: h - r^2 f'' in units of its tolerance", "1", off, 1.0, 0.0, "at_most")
        far = divergence.weight(torch.tensor([-60.0, 60.0], dtype=torch.float64))
        least = torch.cat([weight, far]).min().item() if bool(far.isfinite().all()) else math.nan
        yield Check(f"{name}: smallest h, finite to |ln r| = 60", "1", least, 0.0, 0.0, "at_least")
        one = torch.zeros(1, dtype=torch.float64)
        yield Check(f"{name}: h(1)", "1.3", divergence.weight(one).item(), 1.0, 1e-12)
        f = divergence.perspective(LOG_RATIOS, torch.zeros_like(LOG_RATIOS))
        yield Check(f"{name}: smallest f(r)", "1", f.min().item(), 0.0, 1e-12, "at_least")

    def _algebra(self) -> Iterator[Check]:
        for name, kind in known_divergences().items():
            yield from algebra(name, kind())

    def _mixtures(self) -> Iterator[Check]:
        known = known_divergences()
        made = {name: known[name]() for name in known}
        parts = (made["jensen_shannon"], made["forward_kl"], made["neyman"])
        mixed = Mixture((0.5, 0.3, 0.2), parts)
        found, rounding = measured_weight(mixed, LOG_RATIOS)
        summed = 0.5 * parts[0].weight(LOG_RATIOS) + 0.3 * parts[1].weight(LOG_RATIOS)
        summed = summed + 0.2 * parts[2].weight(LOG_RATIOS)
        off = ((found - summed).abs() / (1e-10 * summed + rounding)).max().item()
        yield Check("h of a mixture from its f, in units of its tolerance", "5", off, 1.0, 0.0, "at_most")
        half = (0.5, 0.5)
        pairs: list[tuple[str, Divergence, Divergence]] = [
            ("Jeffreys", made["jeffreys"], Mixture(half, (made["reverse_kl"], made["forward_kl"]))),
            ("reverse KL", made["reverse_kl"], Mixture(half, (made["jensen_shannon"], made["softened_reverse_kl"]))),
        ]
        alphas = {"neyman": -1.0, "reverse_kl": 0.0, "squared_hellinger": 0.5, "forward_kl": 1.0, "pearson": 2.0}
        pairs += [(f"alpha={alpha:g}", made[name], known["alpha"](alpha=alpha)) for name, alpha in alphas.items()]
        zero = torch.zeros_like(LOG_RATIOS)
        for name, one, other in pairs:
            weights = one.weight(LOG_RATIOS), other.weight(LOG_RATIOS)
            # Both sides are sums of a few exponentials: 1e-12 leaves four digits for rounding.
            off = ((weights[0] - weights[1]).abs() / weights[0]).max().item()
            yield Check(f"{name} = its sum or its own file: h", "5", off, 0.0, 1e-12)
            values = one.perspective(LOG_RATIOS, zero), other.perspective(LOG_RATIOS, zero)
            off = ((values[0] - values[1]).abs() / (values[0] + LOG_RATIOS.exp())).max().item()
            yield Check(f"{name} = its sum or its own file: f", "5", off, 0.0, 1e-12)


def algebra(name: str, divergence: Divergence) -> Iterator[Check]:
    """The facts of a divergence by sympy, and the tensors' numbers against 30 digits of the same formulas."""
    facts = divergence.facts
    # The parameters are decimal fractions in the text: as rationals the algebra is exact.
    f, h = (sympy.nsimplify(sympy.sympify(text, {"r": _R}), rational=True) for text in (facts.generator, facts.weight))
    left = sympy.simplify(sympy.diff(f, _R, 2) * _R**2 - h)
    yield Check(f"{name}: f'' r^2 - h is zero by algebra", "1", 0.0 if left == 0 else 1.0, 0.0, 0.0)
    yield Check(f"{name}: f(1)", "1", float(f.subs(_R, 1)), 0.0, 0.0)
    slope = float(sympy.simplify(_R * sympy.diff(h, _R) / h).subs(_R, 1))
    yield Check(f"{name}: d ln h / d ln r at 1", "1.2", facts.tilt, slope, 1e-12)
    for end, stated in zip((0, sympy.oo), facts.limits, strict=True):
        yield Check(f"{name}: h at r = {end}", "1.2", stated, float(sympy.limit(h, _R, end, "+-"[end != 0])), 1e-12)
    bound = sympy.limit(f, _R, 0, "+") + sympy.limit(f / _R, _R, sympy.oo)
    yield Check(f"{name}: largest D_f", "1.2", facts.bound, float(bound), 1e-12)
    ratios = [sympy.Rational(10) ** power for power in (-4, -1, 0, 2, 4)]
    log_ratio = torch.tensor([float(sympy.log(r)) for r in ratios], dtype=torch.float64)
    weight, value = divergence.weight(log_ratio), divergence.perspective(log_ratio, torch.zeros_like(log_ratio))
    exact = [float(h.subs(_R, r).evalf(30)) for r in ratios]
    # e^9.2 from a rounded logarithm is off by ten last digits, and a square of it by twice that.
    off = max(abs(w / e - 1) for w, e in zip(weight.tolist(), exact, strict=True))
    yield Check(f"{name}: h against 30 digits", "1", off, 0.0, 1e-13)
    slope_f = sympy.diff(f, _R).subs(_R, 1)
    exact = [float((f - slope_f * (_R - 1)).subs(_R, r).evalf(30)) for r in ratios]
    off = max(abs(v - e) / (1 + float(r) + abs(e)) for v, e, r in zip(value.tolist(), exact, ratios, strict=True))
    yield Check(f"{name}: f against 30 digits", "1", off, 0.0, 1e-13)
