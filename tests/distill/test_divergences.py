"""Every divergence, by registry, against its definition and against quadrature."""

import math

import pytest
import torch

from qcgen.core.registry import scan

DIVERGENCES = sorted(scan("qcgen.distill.divergences").items())
RATIOS = torch.logspace(-3, 3, 61, dtype=torch.float64)


@pytest.mark.parametrize(("name", "kind"), DIVERGENCES)
def test_f_is_zero_at_one_and_convex(name: str, kind: type) -> None:
    f = kind().f
    assert float(f(torch.ones(1, dtype=torch.float64))) == pytest.approx(0, abs=1e-12)
    left, middle, right = RATIOS[:-2], RATIOS[1:-1], RATIOS[2:]
    chord = f(left) + (f(right) - f(left)) * (middle - left) / (right - left)
    assert bool((f(middle) <= chord + 1e-12).all())


@pytest.mark.parametrize(("name", "kind"), DIVERGENCES)
def test_weight_is_r_squared_times_the_second_derivative(name: str, kind: type) -> None:
    ratio = RATIOS.clone().requires_grad_(True)
    divergence = kind()
    (first,) = torch.autograd.grad(divergence.f(ratio).sum(), ratio, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), ratio)
    expected = ratio.detach().square() * second
    # Double backward in float64: cancellation in f leaves about ten digits.
    torch.testing.assert_close(divergence.weight(RATIOS.log()), expected, rtol=1e-8, atol=1e-9)
    assert float(divergence.weight(torch.zeros(1, dtype=torch.float64))) == pytest.approx(1)


@pytest.mark.parametrize(("name", "kind"), DIVERGENCES)
def test_weight_is_finite_far_out(name: str, kind: type) -> None:
    assert bool(torch.isfinite(kind().weight(torch.tensor([-60.0, 60.0], dtype=torch.float64))).all())


@pytest.mark.parametrize(("name", "kind"), DIVERGENCES)
def test_gradient_theorem_holds_by_quadrature(name: str, kind: type) -> None:
    """d/dm D_f(p || q_m) = E_q[h(r) (s_q - s_p)] for a mixture p and a Gaussian q of mean m (arXiv:2502.15681, eq.
    1)."""
    x = torch.linspace(-14, 14, 40001, dtype=torch.float64)
    divergence = kind()

    def log_normal(mean: float, deviation: float) -> torch.Tensor:
        return -((x - mean) ** 2) / (2 * deviation**2) - math.log(deviation * math.sqrt(2 * math.pi))

    log_p = torch.logaddexp(math.log(0.6) + log_normal(-1.5, 1.2), math.log(0.4) + log_normal(1.2, 1.1))

    def value(mean: float) -> float:
        log_q = log_normal(mean, 1.5)
        return float(torch.trapezoid(log_q.exp() * divergence.f((log_p - log_q).exp()), x))

    log_q = log_normal(0.3, 1.5)
    score_p = torch.gradient(log_p, spacing=(x,))[0]
    score_q = -(x - 0.3) / 1.5**2
    weighted = divergence.weight(log_p - log_q) * (score_q - score_p)
    gradient = float(torch.trapezoid(log_q.exp() * weighted, x))
    difference = (value(0.3 + 1e-4) - value(0.3 - 1e-4)) / 2e-4
    # The numerical score of p is good to about 1e-6.
    assert gradient == pytest.approx(difference, rel=1e-4)
