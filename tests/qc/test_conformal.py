"""The promise behind the limits: clean pictures are flagged no more often than alpha."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from qcgen.qc.conformal import combine, false_flag_bound, fewest, flag_limit, joint_p_value, p_value

_VALUES = st.lists(st.floats(-1e3, 1e3, allow_nan=False) | st.integers(-3, 3).map(float), min_size=1, max_size=60)


@given(_VALUES, st.floats(-1e3, 1e3))
def test_p_counts_the_reference_scores_at_least_as_bad(reference: list[float], badness: float) -> None:
    expected = (1 + sum(score >= badness for score in reference)) / (len(reference) + 1)
    assert p_value(badness, sorted(reference)) == pytest.approx(expected)


@given(_VALUES, _VALUES, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.05, 0.1, 0.3]))
@settings(max_examples=200)
def test_the_limit_is_where_the_joint_test_begins_to_flag(
    scores: list[float], others: list[float], importance: float, alpha: float
) -> None:
    reference = sorted(scores)
    joint = sorted(p_value(other, reference) / importance for other in others)
    limit = flag_limit(reference, joint, importance=importance, alpha=alpha)
    for badness in [*reference, *others, max(reference) + 1]:
        flags = joint_p_value(p_value(badness, reference) / importance, joint) <= alpha
        assert flags == (limit is not None and badness > limit)


@pytest.mark.parametrize("kind", ["continuous", "correlated", "tied", "sometimes_missing"])
def test_clean_pictures_are_flagged_at_most_at_alpha(kind: str) -> None:
    alpha, repeats, fresh = 0.1, 300, 20
    rng = np.random.default_rng(20261123)
    flagged = sum(_flags(kind, rng, alpha, fresh) for _ in range(repeats))
    # Draws within one calibration are dependent: the whole calibration counts as one draw, which is the worst case.
    allowed = binom.ppf(0.9999, repeats, alpha) / repeats
    assert flagged / (repeats * fresh) <= allowed
    if kind == "continuous":
        # Not conservative where nothing ties: a test that never flags would pass the line above.
        assert flagged / (repeats * fresh) > alpha / 2


def _flags(kind: str, rng: np.random.Generator, alpha: float, fresh: int) -> int:
    rows = _draw(kind, rng, 200 + fresh)
    names = ("a", "b", "c")
    importance = {"a": 1.0, "b": 1.0, "c": 0.5}
    references = {name: sorted(rows[:100, k][~np.isnan(rows[:100, k])].tolist()) for k, name in enumerate(names)}

    def statistic(row: np.ndarray) -> float:
        present = {name: float(row[k]) for k, name in enumerate(names) if not np.isnan(row[k])}
        return combine({name: p_value(value, references[name]) for name, value in present.items()}, importance)

    joint = sorted(statistic(row) for row in rows[100:200])
    return sum(joint_p_value(statistic(row), joint) <= alpha for row in rows[200:])


def _draw(kind: str, rng: np.random.Generator, n: int) -> np.ndarray:
    rows = rng.normal(size=(n, 3))
    if kind == "correlated":
        rows[:, 1] = rows[:, 0] + 0.1 * rows[:, 1]
    elif kind == "tied":
        rows = np.floor(rows)
    elif kind == "sometimes_missing":
        rows[rng.random(n) < 0.3, 2] = np.nan
    return rows


@pytest.mark.parametrize(("n", "alpha", "bound"), [(200, 0.02, 0.038), (1000, 0.02, 0.028), (500, 0.05, 0.067)])
def test_the_bound_of_one_calibration_is_the_published_one(n: int, alpha: float, bound: float) -> None:
    # Beta quantiles, tabled to three digits.
    assert false_flag_bound(n, alpha) == pytest.approx(bound, abs=6e-4)
    flags = n - int(np.ceil((n + 1) * (1 - alpha) - 1e-9))
    assert false_flag_bound(n, alpha) == pytest.approx(beta.ppf(0.95, flags + 1, n - flags))


def test_fewest_is_one_over_alpha_less_one() -> None:
    assert [fewest(alpha) for alpha in (0.02, 0.05, 0.1)] == [49, 19, 9]
