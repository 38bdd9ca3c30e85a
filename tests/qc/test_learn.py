"""The fit behind a proposed policy: signs, weights, intervals, refusals."""

import numpy as np
import pytest

from qcgen.core.errors import SpecError
from qcgen.qc.learn import fit_weights, importances, predict, refuse_too_few


def surprises(n: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).exponential(size=(n, 3))


def test_the_fit_finds_the_weights_that_made_the_decisions() -> None:
    rows, rng = surprises(20_000, 0), np.random.default_rng(1)
    true = np.array([1.5, 0.5, 0.0])
    rejected = rng.random(len(rows)) < 1 / (1 + np.exp(-(rows @ true - 3)))
    found = fit_weights(rows, rejected, np.ones(len(rows)))
    # The ridge pulls by a few per cent; errors at n 20,000 are about 0.03.
    assert found == pytest.approx(true, abs=0.12)


def test_a_detector_that_speaks_against_a_fault_gets_no_negative_weight() -> None:
    rows, rng = surprises(5000, 2), np.random.default_rng(3)
    rejected = rng.random(len(rows)) < 1 / (1 + np.exp(-(2 * rows[:, 0] - 2 * rows[:, 1] - 1)))
    found = fit_weights(rows, rejected, np.ones(len(rows)))
    assert found[1] == 0
    assert found.min() >= 0
    assert importances(["a", "b", "c"], found)["a"] == 1.0


def test_inverse_probability_weights_undo_the_choice_of_what_was_looked_at() -> None:
    rows, rng = surprises(60_000, 4), np.random.default_rng(5)
    chance = 1 / (1 + np.exp(-(rows @ np.array([1.5, 0.5, 0.0]) - 3)))
    rejected = rng.random(len(rows)) < chance
    flagged = rows.max(1) > 3
    looked = flagged | (rng.random(len(rows)) < 0.1)
    weight = np.where(flagged, 1.0, 10.0)[looked]
    found = fit_weights(rows[looked], rejected[looked], weight)
    assert found == pytest.approx([1.5, 0.5, 0.0], abs=0.15)
    shares = predict(flagged[looked], rejected[looked], weight)
    escapes = rejected[~flagged].mean()
    assert shares.queue.value == pytest.approx(flagged.mean(), abs=0.01)
    assert shares.escapes.low <= escapes <= shares.escapes.high


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(SpecError, match="no detector tells"):
        importances(["a"], np.array([0.0]))


def test_small_weights_become_zero() -> None:
    assert importances(["a", "b", "c"], np.array([2.0, 1.0, 0.01])) == {"a": 1.0, "b": 0.5, "c": 0.0}


def test_every_reason_against_learning_is_told() -> None:
    refuse_too_few(30, 1, 2)
    with pytest.raises(SpecError) as raised:
        refuse_too_few(29, 0, 1)
    told = "\n".join(raised.value.problems)
    assert "at least 30 rejected pictures (got 29)" in told
    assert "qcgen runs sample" in told
    assert "at least 2 products" in told
