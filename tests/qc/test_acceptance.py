"""Acceptance sampling: the standard's rows, their operating characteristics, a sample that stays the same."""

import pytest

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
    ids = [f"{i:032x}" for i in range(300)]
    one = draw_sample("run", ids, 50)
    assert one == draw_sample("run", reversed(ids), 50)
    assert len(set(one)) == 50
    assert one != draw_sample("other", ids, 50)
    assert len(draw_sample("run", ids[:3], 50)) == 3
