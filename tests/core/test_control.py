"""Control charts against closed forms and simulations."""

import numpy as np
import pytest

from qcgen.core.control import BASELINE, ewma, false_alarms, individuals, laney, one_sided_runs, typical


def test_laney_limit_without_extra_spread_is_the_three_sigma_limit() -> None:
    # p = 0.1, n = 100: 0.1 +- 3 * 0.03.
    limits = laney([(0.1, 100)] * 20).limits(100)
    assert (limits.low, limits.high) == (pytest.approx(0.01), pytest.approx(0.19))


def test_laney_limits_widen_with_the_spread_between_nights_and_stay_shares() -> None:
    # Neighbours differ by 0.04, which is 40 of the sigmas that 100,000 items explain: 40 / 1.128 times wider.
    chart = laney([(0.08 + 0.04 * (night % 2), 90_000) for night in range(20)])
    assert chart.centre == pytest.approx(0.1)
    assert chart.between == pytest.approx(40 / 1.128)
    assert laney([(0.5 + 0.5 * (night % 2), 4) for night in range(20)]).limits(4).high == 1.0


def test_a_share_that_never_moves_from_zero_has_no_width() -> None:
    limits = laney([(0.0, 50)] * 20).limits(50)
    assert (limits.low, limits.high) == (0.0, 0.0)


def test_individuals_take_sigma_from_neighbours() -> None:
    chart = individuals([1.0, 3.0] * 10)
    assert chart.centre == 2.0
    assert chart.limits.high - 2.0 == pytest.approx(3 * 2 / 1.128)


def test_ewma_starts_at_the_baselines_mean_and_reaches_its_final_width() -> None:
    nights = [0.0, 1.0] * 13
    assert ewma(nights[:BASELINE]) is None
    chart = ewma([*nights[:BASELINE], *[0.48] * 200])
    assert chart is not None
    sigma = float(np.std(nights[:BASELINE], ddof=1))
    assert chart.reach[0] == pytest.approx(2.96 * sigma * 0.2)
    assert chart.reach[-1] == pytest.approx(2.96 * sigma * (0.2 / 1.8) ** 0.5)
    assert chart.values[-1] == pytest.approx(0.48)


def test_a_run_counts_from_its_eighth_point_and_the_centre_ends_it() -> None:
    assert one_sided_runs([1.0] * 7, 0.0) == frozenset()
    assert one_sided_runs([-1.0, *[1.0] * 9, 0.0, *[1.0] * 7], 0.0) == {8, 9}


def test_expected_false_alarms_are_those_of_nights_where_nothing_happens() -> None:
    nights, charts = 60, 4_000
    drawn = np.random.default_rng(3).normal(size=(charts, nights))
    beyond = int((abs(drawn) > 3).sum())
    begun = 0
    for chart in drawn:
        standing = one_sided_runs(chart.tolist(), 0.0)
        begun += sum(place - 1 not in standing for place in standing)
    expected_beyond, expected_runs = false_alarms(nights, charts)
    # 648 and 844 are expected; four of their Poisson errors.
    assert beyond == pytest.approx(expected_beyond, abs=4 * expected_beyond**0.5)
    assert begun == pytest.approx(expected_runs, abs=4 * expected_runs**0.5)
    assert false_alarms(7, 1)[1] == 0.0


def test_nothing_has_no_median() -> None:
    assert typical([]) is None
    assert typical([3.0, 1.0, 2.0, 10.0]) == 2.5
