"""Values of divergences: numbers where there are some, reasons where there are none."""

import math

import pytest
import torch

from qcgen.distill.blend import known_divergences
from qcgen.distill.divergences.forward_kl import ForwardKl
from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.divergences.pearson import Pearson
from qcgen.distill.divergences.reverse_kl import ReverseKl
from qcgen.distill.values import grid_value, sample_value

X = torch.linspace(-12, 12, 2401, dtype=torch.float64)


def log_normal(x: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    return -((x - mean) ** 2) / (2 * deviation**2) - math.log(deviation * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("name", known_divergences())
def test_equal_densities_are_at_distance_zero(name: str) -> None:
    log_p = log_normal(X, 0.5, 1.0)
    value = grid_value(known_divergences()[name](), log_p, log_p, spacing=(0.01,))
    # Rounding of terms as large as p itself.
    assert value.value == pytest.approx(0, abs=1e-12)


def test_a_plane_gives_the_sum_of_its_independent_axes() -> None:
    x = torch.linspace(-9, 9, 181, dtype=torch.float64)
    log_p = log_normal(x, 1, 1)[:, None] + log_normal(x, 0, 1)
    log_q = log_normal(x, 0, 1)[:, None] + log_normal(x, 0.5, 1)
    value = grid_value(ForwardKl(), log_p, log_q, spacing=(0.1, 0.1))
    # Sums of smooth vanishing integrands converge faster than any power of the spacing.
    assert value.value == pytest.approx(1 / 2 + 0.25 / 2, rel=1e-9)


def test_mass_where_the_other_has_none_is_infinite_for_some_and_bounded_for_others() -> None:
    teacher = torch.where(X < 0, log_normal(X, -2, 0.5), -math.inf)
    student = log_normal(X, 0.0, 1.0)
    told = grid_value(ReverseKl(), teacher, student, spacing=(0.01,))
    assert told.value is None
    assert "infinite" in told.reason
    bounded = grid_value(JensenShannon(), teacher, student, spacing=(0.01,))
    assert bounded.value is not None
    assert 0 < bounded.value < JensenShannon().facts.bound


def test_a_grid_that_misses_the_mass_says_so() -> None:
    told = grid_value(JensenShannon(), log_normal(X, 11.5, 1), log_normal(X, 0, 1), spacing=(0.01,))
    assert told.value is None
    assert "69.3% of the teacher's mass" in told.reason


def test_a_grid_that_ends_too_early_is_not_trusted() -> None:
    # Pearson between N(0, 1.4^2) and N(0, 1): finite, but its integrand is five times as wide as the student.
    told = grid_value(Pearson(), log_normal(X, 0, 1.4), log_normal(X, 0, 1), spacing=(0.01,))
    assert not told.finite
    wide = torch.linspace(-60, 60, 12001, dtype=torch.float64)
    value = grid_value(Pearson(), log_normal(wide, 0, 1.4), log_normal(wide, 0, 1), spacing=(0.01,))
    # Integral of p^2 / q = 1 / (v_p sqrt(2 / v_p - 1)) for centred Gaussians of variances v_p and 1.
    variance = 1.4**2
    assert value.value == pytest.approx((1 / (variance * math.sqrt(2 / variance - 1)) - 1) / 2, rel=1e-9)


def test_samples_give_a_number_with_its_error() -> None:
    z = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    value = sample_value(JensenShannon(), z - 0.5)
    exact = grid_value(JensenShannon(), log_normal(X, 1, 1), log_normal(X, 0, 1), spacing=(0.01,))
    assert value.value is not None
    assert exact.value is not None
    assert 0 < value.error < 0.01
    # Four standard errors, and the seed is fixed.
    assert abs(value.value - exact.value) < 4 * value.error


def test_samples_that_cannot_know_the_mean_say_so() -> None:
    z = torch.randn(20_000, generator=torch.Generator().manual_seed(1))
    # Three deviations apart E[r^2] is e^9, carried by one sample in a million.
    told = sample_value(Pearson(), 3 * z - 4.5)
    assert told.value is None
    assert "20000 samples" in told.reason
    assert not sample_value(ReverseKl(), z[:50]).finite
    assert not sample_value(ReverseKl(), torch.cat([z, torch.tensor([-math.inf])])).finite
