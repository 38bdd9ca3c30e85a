"""The view model: counts, intervals, slices, limits."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from qcgen.core.types import Finding, Outcome, Severity
from qcgen.report.intervals import exact, upper_bound, wilson
from qcgen.report.tally import WORST_KEPT, Tally
from tests.report import synthetic


def tally_of(rows: object) -> Tally:
    tally = Tally()
    for row in rows:  # type: ignore[attr-defined]
        tally.add(row)
    return tally


@settings(deadline=None)  # a busy machine may pause any example
@given(st.integers(0, 200), st.integers(0, 10_000))
def test_every_item_is_counted_exactly_once(items: int, seed: int) -> None:
    made = synthetic.make_synthetic(items, seed=seed, pictures=[b""])
    counts = tally_of(made.rows).counts(items + 3)
    assert counts.accepted + counts.flagged + counts.rejected == counts.generated
    assert counts.generated + counts.failed == counts.finished == items
    assert counts.missing == 3
    assert counts.retried == sum(row.attempt > 1 for row in made.rows)
    assert counts.shippable == counts.accepted
    assert counts.waiting == counts.flagged


def test_decisions_move_items_between_waiting_and_shippable() -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    rows = [
        replace(row, outcome=Outcome.ACCEPT, decision=None),
        replace(row, outcome=Outcome.ACCEPT, decision="accept"),
        replace(row, outcome=Outcome.ACCEPT, decision="reject"),
        replace(row, outcome=Outcome.REVIEW, decision="accept"),
        replace(row, outcome=Outcome.REVIEW, decision="reject"),
        replace(row, outcome=Outcome.REVIEW, decision=None),
        replace(row, outcome=Outcome.REJECT, decision="accept"),
        replace(row, outcome=Outcome.FAILED, relpath=None, decision=None),
    ]
    counts = tally_of(rows).counts(8)
    assert (counts.audited, counts.audited_bad) == (2, 1)
    assert counts.shippable == 4
    assert counts.waiting == 1


@settings(deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_interval_is_the_beta_quantile_and_holds_the_rate(case: tuple[int, int]) -> None:
    count, of = case
    share = exact(count, of)
    low = beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    # 1e-6: scipy finds binomtest's bounds by a root search with that tolerance at worst.
    assert share.low == pytest.approx(low, abs=1e-6)
    assert share.high == pytest.approx(high, abs=1e-6)
    assert share.low <= count / of <= share.high


def test_wilson_interval_matches_a_published_value() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263 gives 0.2553 to 0.3662 (method 3).
    share = wilson(81, 263)
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)


def test_nothing_counted_means_nothing_known() -> None:
    share = exact(0, 0)
    assert (share.rate, share.low, share.high, upper_bound(0, 0)) == (None, 0.0, 1.0, 1.0)


def test_upper_bound_of_no_defect_is_the_rule_of_three() -> None:
    # Exactly 1 - 0.05 ** (1 / n), close to 3 / n.
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-9)


def test_bad_colour_is_found_below_and_even_ones_are_not() -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    rows = []
    for number in range(800):
        colour = ("red", "green", "blue", "grey")[number % 4]
        bad = number % 40 == 3 or (colour == "red" and number % 5 < 2)
        outcome = Outcome.REJECT if bad else Outcome.ACCEPT
        rows.append(replace(row, item_index=number, fields={"colour": colour}, outcome=outcome))
    (cut,) = tally_of(rows).slices()
    assert next((one.value, one.below) for one in cut.slices) == ("red", True)
    assert not any(one.below for one in cut.slices[1:])
    assert sum(one.passed.of for one in cut.slices) == 800


def test_identifiers_and_constants_are_no_slices() -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    rows = [
        replace(row, fields={"sku": f"S{n}", "season": "autumn", "colour": "red" if n % 2 else "blue"})
        for n in range(100)
    ]
    assert [cut.field for cut in tally_of(rows).slices()] == ["colour"]


def test_field_that_appears_late_counts_earlier_items_as_none() -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    rows = [replace(row, fields={} if n < 6 else {"colour": "red"}) for n in range(10)]
    (cut,) = tally_of(rows).slices()
    assert {one.value: one.passed.of for one in cut.slices} == {"(none)": 6, "red": 4}


def test_histogram_holds_every_value_and_draws_limits_inside_the_axis() -> None:
    made = synthetic.make_synthetic(500, pictures=[b""])
    for shape in tally_of(made.rows).histograms():
        assert sum(shape.accepted) + sum(shape.others) == shape.scored
        assert shape.scored + shape.unscored == sum(row.relpath is not None for row in made.rows)
        assert all(shape.edges[0] < limit.value < shape.edges[-1] for limit in shape.limits)
        assert len(shape.edges) == len(shape.accepted) + 1


def test_threshold_of_another_scale_is_not_drawn_over_raw_values() -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    found = Finding("sharpness", Severity.WARN, "p is small", value=0.001, threshold=0.01)
    (shape,) = tally_of([replace(row, measures={"sharpness": 0.4}, unscored={}, reasons=(found,))]).histograms()
    assert shape.limits == ()


@pytest.mark.parametrize("value", [0.0, 1.0, -7.5, 1e-30, 1e12])
def test_histogram_of_equal_values_is_drawable(value: float) -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    rows = [replace(row, measures={"flat": value}, reasons=(), unscored={})] * 5
    (shape,) = tally_of(rows).histograms()
    assert shape.edges[0] < value < shape.edges[-1]
    assert sum(shape.accepted) + sum(shape.others) == 5


def test_worst_are_the_most_doubtful_of_all_rows() -> None:
    made = synthetic.make_synthetic(2000, pictures=[b""])
    rank = {Outcome.REJECT: 0, Outcome.REVIEW: 1, Outcome.ACCEPT: 2}
    pictured = [row for row in made.rows if row.relpath is not None]
    expected = sorted(pictured, key=lambda row: (rank[row.outcome], row.joint_p, row.item_index))[:WORST_KEPT]
    assert tally_of(made.rows).worst() == expected


def test_failed_item_without_a_finding_has_the_reason_failed() -> None:
    row = next(row for row in synthetic.make_rows(500, pictures=[b""]) if row.outcome is Outcome.FAILED)
    (reason,) = tally_of([row]).reasons()
    assert (reason.kind, reason.failed, reason.example) == ("failed", 1, "The model returned NaN twice.")


def test_a_detector_that_people_agree_with_tells_refused_from_passed() -> None:
    row = next(synthetic.make_rows(1, pictures=[b""]))
    rows = []
    for number in range(20):
        said = "reject" if number >= 12 else "accept"
        rows.append(replace(row, measures={"sharp": float(number), "flat": 1.0}, decision=said, reasons=()))
    rows.append(replace(row, measures={"sharp": 99.0}, decision=None, reasons=()))
    told = {shape.detector: shape.told for shape in tally_of(rows).histograms()}
    assert told["sharp"] is not None
    assert (told["sharp"].auroc, told["sharp"].refused, told["sharp"].passed) == (1.0, 8, 12)
    assert told["flat"] is not None
    assert told["flat"].auroc == 0.5
    assert [shape.told for shape in tally_of(rows[:14]).histograms()] == [None, None]
