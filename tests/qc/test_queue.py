"""The queue of a batch: its false share, and what it leaves alone."""

import numpy as np
import pytest

from qcgen.qc.conformal import p_value
from qcgen.qc.queue import queue_limit


def test_the_limit_is_the_largest_p_of_the_procedure() -> None:
    # Benjamini and Hochberg 1995, their example of 15 tests: four are rejected at 5 %.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.759,
        1,
    ]
    assert queue_limit(p, 0.05) == 0.0095


def test_nothing_unusual_flags_nothing() -> None:
    assert queue_limit([0.2, 0.5, 1.0], 0.1) == 0.0
    assert queue_limit([], 0.1) == 0.0


@pytest.mark.parametrize("bad", [0, 30])
def test_the_false_share_of_conformal_queues_is_within_its_bound(bad: int) -> None:
    rng, rate, batches, false, missed = np.random.default_rng(0), 0.1, 200, [], 0
    for _ in range(batches):
        reference = np.sort(rng.normal(size=1000)).tolist()
        scores = np.concatenate([rng.normal(4, 0.5, bad), rng.normal(size=300 - bad)]).tolist()
        p_values = [p_value(score, reference) for score in scores]
        limit = queue_limit(p_values, rate)
        flagged = [p <= limit for p in p_values]
        false.append(sum(flagged[bad:]) / max(1, sum(flagged)))
        missed += bad - sum(flagged[:bad])
    # Three standard errors over the batches.
    assert np.mean(false) <= rate + 3 * np.std(false) / batches**0.5
    assert missed <= 0.05 * bad * batches
