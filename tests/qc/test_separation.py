"""Statistics of the measurement against counting, closed forms and scipy."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm

from qcgen.qc.learned import fit, p_matrix
from qcgen.qc.separation import (
    auroc,
    conformal_limit,
    exact_interval,
    folds_by_group,
    separate,
    worst_share,
)

RNG = np.random.default_rng(3)


def test_auroc_is_mann_whitneys_u_over_the_pairs_with_ties_and_missing_values() -> None:
    clean = np.round(RNG.normal(size=60), 1)
    spoiled = np.round(RNG.normal(0.7, 1, size=40), 1)
    clean[:5] = spoiled[:3] = -np.inf
    expected = mannwhitneyu(np.maximum(spoiled, -99), np.maximum(clean, -99)).statistic / (60 * 40)
    assert auroc(clean, spoiled) == pytest.approx(expected, abs=1e-12)


def test_the_bootstrap_covers_the_true_auroc_about_as_often_as_it_says() -> None:
    true = float(norm.cdf(1 / math.sqrt(2)))
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        found = separate(rng.normal(size=80), rng.normal(1, 1, size=60), None, seed=seed)
        assert found.low <= found.auroc <= found.high
        covered += found.low <= true <= found.high
    # 95 of 100 wanted; 86 is four standard errors of the count below, and percentile intervals cover a little less.
    assert covered >= 86


def test_recall_is_the_share_strictly_beyond_the_limit() -> None:
    spoiled = np.array([1.0, 2.0, 2.0, 3.0])
    assert separate(np.zeros(4), spoiled, 2.0, seed=0).recall == 0.25
    assert separate(np.zeros(4), spoiled, None, seed=0).recall is None


def test_the_conformal_limit_is_the_design_rank() -> None:
    scores = RNG.permutation(np.arange(200.0))
    # k = ceil(201 * 0.98) = 197: the 197th smallest of 0..199 is 196.
    assert conformal_limit(scores, 0.02) == 196
    assert conformal_limit(np.arange(48.0), 0.02) is None
    assert conformal_limit(np.arange(49.0), 0.02) == 48
    assert conformal_limit(np.full(200, -np.inf), 0.02) is None


@pytest.mark.parametrize(("count", "of"), [(0, 40), (1, 40), (20, 40), (40, 40)])
def test_the_exact_interval_is_scipys(count: int, of: int) -> None:
    expected = binomtest(count, of).proportion_ci(method="exact")
    assert exact_interval(count, of) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_worst_share_counts_ties_in_part() -> None:
    bad = np.array([True, True, False, False, False])
    assert worst_share(np.array([5.0, 1.0, 2.0, 3.0, 4.0]), bad, 0.2) == 0.5
    assert worst_share(np.zeros(5), bad, 0.2) == pytest.approx(0.2)
    assert worst_share(np.array([5.0, 4.0, 0.0, 0.0, 0.0]), bad, 0.4) == 1.0


def test_a_group_is_never_in_two_folds() -> None:
    groups = [f"prompt {i % 13}" for i in range(90)]
    folds = folds_by_group(groups, seed=1)
    assert {len({int(fold) for fold, group in zip(folds, groups, strict=True) if group == one}) for one in groups} == {
        1
    }
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}


def test_undrawn_folds_are_about_equally_large_with_every_group_whole() -> None:
    groups = [f"product {i % 13}" for i in range(130)] + ["product 0"] * 20
    folds = folds_by_group(groups)
    whole = {(group, int(fold)) for group, fold in zip(groups, folds, strict=True)}
    assert len(whole) == 13
    assert np.bincount(folds).tolist() == [30, 30, 30, 30, 30]
    assert set(folds_by_group(["a", "b"]).tolist()) == {0, 1}


def test_p_values_are_the_conformal_ones_and_no_value_gives_one() -> None:
    reference = np.arange(9.0)[:, None]
    found = p_matrix(np.array([[-np.inf], [4.0], [9.0]]), reference)[:, 0]
    np.testing.assert_allclose(found, [1.0, 0.6, 0.1])


def test_the_learned_weights_find_the_detector_that_people_follow_and_are_never_negative() -> None:
    rng = np.random.default_rng(0)
    evidence = rng.exponential(size=(300, 3))
    bad = evidence[:, 0] + 0.3 * rng.normal(size=300) > 1.5
    # The third column speaks for good pictures: an unbounded fit would give it a negative weight.
    evidence[:, 2] = np.where(bad, 0.5, 1.5) * evidence[:, 2]
    offset, weights = fit(evidence, bad)
    assert weights.min() >= 0
    assert weights[2] == 0
    assert weights[0] > 10 * weights[1]
    assert auroc((offset + evidence @ weights)[~bad], (offset + evidence @ weights)[bad]) > 0.95
