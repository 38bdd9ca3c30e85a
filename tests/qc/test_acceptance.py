"""Acceptance sampling: the standard's rows, their operating characteristics, a sample that stays the same."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcgen.qc.acceptance import AQLS, Plan, draw_sample, plan_for


@pytest.mark.parametrize(
    ("lot", "n", "accept"),
    [
        (281, 50, (1, 3, 5)),
        (500, 50, (1, 3, 5)),
        (501, 80, (2, 5, 7)),
        (3200, 125, (3, 7, 10)),
        (9000, 200, (5, 10, 14)),
    ],
)
def test_the_rows_of_the_standard(lot: int, n: int, accept: tuple[int, ...]) -> None:
    assert tuple(plan_for(lot, aql) for aql in AQLS) == tuple(Plan(n, one) for one in accept)


def test_lots_beyond_the_table_use_its_ends_and_a_lot_is_never_smaller_than_its_sample() -> None:
    assert plan_for(100, 2.5) == Plan(50, 3)
    assert plan_for(20, 2.5) == Plan(20, 3)
    assert plan_for(50_000, 2.5) == Plan(200, 10)


@pytest.mark.parametrize(
    ("plan", "share", "chance"),
    [
        (Plan(80, 5), 0.025, 0.985),
        (Plan(80, 5), 0.05, 0.79),
        (Plan(80, 5), 0.08, 0.37),
        (Plan(80, 5), 0.10, 0.18),
        (Plan(80, 2), 0.01, 0.95),
        (Plan(80, 2), 0.025, 0.68),
        (Plan(80, 2), 0.05, 0.23),
    ],
)
def test_the_operating_characteristic_is_the_published_one(plan: Plan, share: float, chance: float) -> None:
    # The published numbers are rounded to a per cent.
    assert plan.chance(share) == pytest.approx(chance, abs=0.006)


def test_a_sample_is_drawn_the_same_again_and_differs_between_runs() -> None:
    lot = {f"{i:032x}": "dress" for i in range(300)}
    one = draw_sample("run", lot, 50)
    assert one == draw_sample("run", dict(reversed(lot.items())), 50)
    assert len({each.image_id for each in one}) == 50
    assert {each.inclusion_p for each in one} == {50 / 300}
    assert one != draw_sample("other", lot, 50)
    assert len(draw_sample("run", dict(list(lot.items())[:3]), 50)) == 3


def made_lot(**sizes: int) -> dict[str, str]:
    return {f"{name}{i}": name for name, size in sizes.items() for i in range(size)}


def test_a_sample_is_in_proportion_to_its_strata_and_has_one_of_each_at_least() -> None:
    lot = made_lot(dress=700, shirt=290, hat=10)
    drawn = draw_sample("run", lot, 100)
    counts = Counter(one.stratum for one in drawn)
    assert counts == {"dress": 70, "shirt": 29, "hat": 1}
    assert all(one.inclusion_p == counts[one.stratum] / sum(lot[i] == one.stratum for i in lot) for one in drawn)
    assert Counter(one.stratum for one in draw_sample("run", lot, 10)) == {"dress": 6, "shirt": 3, "hat": 1}


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1), st.integers(0, 80), st.integers(0, 80)
)
def test_a_smaller_sample_is_the_first_part_of_a_larger_one(sizes: dict[str, int], one: int, other: int) -> None:
    small, large = sorted((one, other))
    lot = made_lot(**sizes)
    drawn = draw_sample("run", lot, large, least=small)
    assert len(drawn) == min(large, len(lot))
    assert [each.image_id for each in drawn[:small]] == [
        each.image_id for each in draw_sample("run", lot, small, least=small)
    ]
    # What is drawn stands for all: the weights add up to the lot.
    if drawn:
        assert sum(1 / each.inclusion_p for each in drawn) == pytest.approx(len(lot))


def test_strata_that_outnumber_the_sample_are_given_up() -> None:
    drawn = draw_sample("run", made_lot(**dict.fromkeys("abcdefgh", 5)), 4)
    assert {one.stratum for one in drawn} == {""}
    assert {one.inclusion_p for one in drawn} == {4 / 40}


def test_every_picture_of_a_stratum_is_drawn_equally_often() -> None:
    lot = made_lot(dress=8, hat=4)
    times = Counter(one.image_id for run in range(600) for one in draw_sample(f"run{run}", lot, 3))
    # Each is expected 150 times; five standard deviations of a binomial of p = 1/4.
    assert all(abs(times[one] - 150) < 5 * (600 * 0.25 * 0.75) ** 0.5 for one in lot)
