"""Statistics of the review: closed forms, published examples, and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from qcgen.core.reviewstats import Audit, agreement, chapman, missed_share, share


@pytest.mark.parametrize(
    ("bad", "n", "upper"),
    # Of none found the bound is 1 - 0.05^(1/n); the others solve P(X <= bad) = 0.05.
    [(0, 60, 0.049), (0, 150, 0.020), (0, 300, 0.010), (0, 3000, 0.001), (1, 300, 0.016), (3, 300, 0.026)],
)
def test_the_upper_bound_is_the_exact_one_and_never_zero(bad: int, n: int, upper: float) -> None:
    found = share(bad, n).upper
    assert round(found, 3) == upper
    assert binom.cdf(bad, n, found) == pytest.approx(0.05)


@given(st.integers(1, 400), st.data())
def test_bounds_agree_with_another_program(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, n))
    other = binomtest(count, n).proportion_ci(0.95, method="exact")
    found = share(count, n)
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=1e-9)
    one_sided = binomtest(count, n, alternative="less").proportion_ci(0.95, method="exact")
    assert found.upper == pytest.approx(one_sided.high, abs=1e-9)


def test_nothing_looked_at_says_nothing() -> None:
    for found in (share(0, 0), missed_share([]), missed_share([Audit("dress", 0.1, None)])):
        assert (found.n, found.rate, found.low, found.upper) == (0, None, 0.0, 1.0)


def test_equal_weights_give_the_plain_share() -> None:
    audits = [Audit("dress", 0.05, index < 3) for index in range(300)]
    weighted, plain = missed_share(audits), share(3, 300)
    for name in ("count", "n", "rate", "low", "high", "upper", "n_effective"):
        assert getattr(weighted, name) == pytest.approx(getattr(plain, name)), name


def test_a_stratum_counts_for_the_pictures_that_it_stands_for() -> None:
    # 90 of 900 dresses, none bad; 10 of 10 hats, all bad: 10 of 910 pictures are bad.
    audits = [Audit("dress", 0.1, False)] * 90 + [Audit("hat", 1.0, True)] * 10
    found = missed_share(audits)
    assert found.rate == pytest.approx(10 / 910)
    assert (found.count, found.n) == (10, 100)
    assert found.n_effective < 100
    assert found.upper > 10 / 910


def test_undecided_pictures_do_not_shift_the_weights_between_strata() -> None:
    looked = [Audit("dress", 0.1, index < 9) for index in range(90)] + [Audit("hat", 0.1, False)] * 10
    half = [Audit("dress", 0.1, index < 4 if index < 40 else None) for index in range(90)] + looked[90:]
    assert missed_share(looked).rate == pytest.approx(0.09)
    assert missed_share(half).rate == pytest.approx(0.09)


def test_the_bound_holds_for_stratified_samples() -> None:
    rng = np.random.default_rng(3)
    sizes, bad, drawn = (2000, 400, 100), (0.01, 0.05, 0.2), (80, 30, 20)
    truth = sum(size * share_ for size, share_ in zip(sizes, bad, strict=True)) / sum(sizes)
    held = 0
    for _ in range(600):
        audits = [
            Audit(str(stratum), n / size, bool(one))
            for stratum, (size, share_, n) in enumerate(zip(sizes, bad, drawn, strict=True))
            for one in rng.random(n) < share_
        ]
        held += missed_share(audits).upper >= truth
    # 95 % less three standard errors of 600 draws.
    assert held / 600 > 0.95 - 3 * (0.95 * 0.05 / 600) ** 0.5


def pairs(both: int, first: int, second: int, none: int) -> list[tuple[bool, bool]]:
    return [(True, True)] * both + [(True, False)] * first + [(False, True)] * second + [(False, False)] * none


@pytest.mark.parametrize(
    ("table", "raw", "kappa", "ac1"),
    [
        # Feinstein and Cicchetti 1990: the same agreement, another prevalence.
        ((40, 9, 6, 45), 0.85, 0.70, 0.70),
        ((80, 10, 5, 5), 0.85, 0.32, 0.81),
        # Gwet 2002: kappa falls below zero where the raters agree on 118 of 125.
        ((118, 5, 2, 0), 0.944, -0.0234, 0.9408),
    ],
)
def test_agreement_is_the_published_one(table: tuple[int, int, int, int], raw: float, kappa: float, ac1: float) -> None:
    found = agreement(pairs(*table))
    assert found.raw == pytest.approx(raw)
    # To the digits that were printed.
    assert found.kappa == pytest.approx(kappa, abs=0.005)
    assert found.ac1 == pytest.approx(ac1, abs=0.005)


def test_agreement_on_nothing_or_without_any_difference_has_no_kappa() -> None:
    assert agreement([]).raw is None
    alike = agreement(pairs(0, 0, 0, 9))
    assert (alike.raw, alike.kappa, alike.ac1, alike.prevalence) == (1.0, None, 1.0, 0.0)


def test_chapman_is_the_published_one() -> None:
    # Ten marked, fifteen caught, five of them marked: 28.3 (the text-book turtles).
    found = chapman(5, 5, 10)
    assert found.estimate == pytest.approx(28.33, abs=0.01)
    assert found.found == 20
    assert found.low <= found.estimate <= found.high


def test_chapman_is_unbiased_where_the_passes_are_independent() -> None:
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(2000):
        one, two = rng.random(100) < 0.7, rng.random(100) < 0.6
        estimates.append(chapman(int((one & two).sum()), int((one & ~two).sum()), int((~one & two).sum())).estimate)
    # Three standard errors of 2,000 draws.
    assert abs(np.mean(estimates) - 100) < 3 * np.std(estimates) / 2000**0.5
