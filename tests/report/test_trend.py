"""The trend over nights: places, limits, alarms, baselines, and the command."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from qcgen.cli.main import main
from qcgen.core.control import NEEDED_RUNS
from qcgen.core.types import RunInfo
from qcgen.report.control import BEYOND, EWMA, RUN
from qcgen.report.nights import BASELINE_KEY, Numbers, Slot, from_summary, from_tally, lay_out
from qcgen.report.summary import summarise
from qcgen.report.tally import Tally
from qcgen.report.trend import Trend, alarms, build_sections, see_trend, write_trend
from qcgen.store.sql import open_store
from tests.report import synthetic
from tests.report.pagecheck import PageChecker
from tests.report.stored import keep_run
from tests.report.test_views import see

START = date(2026, 9, 1)


def night(number: int, **changes: object) -> RunInfo:
    started = f"{START + timedelta(days=number)}T01:00:00+00:00"
    facts = {"status": "complete", "environment": {"encoder_digest": "e", "items_digest": "i"}, "started_at": started}
    return replace(synthetic.make_run(400, run_id=f"night-{number:03d}", **facts), **changes)  # type: ignore[arg-type]


def numbers(accepted: int = 380, median: float = 1.0, items: int = 400) -> Numbers:
    return Numbers(items, items, accepted, 10, {"blur": items - accepted}, {"sharpness": median})


def chart(values: list[tuple[int, float]], **changes: RunInfo) -> Trend:
    """A night a value (accepted, median); `changes` replaces runs by `n<number>`."""
    runs = [changes.get(f"n{number}", night(number)) for number in range(len(values))]
    told = {run.run_id: numbers(*value) for run, value in zip(runs, values, strict=True)}
    return see_trend("nightly-apparel", lay_out(runs, lambda run: told[run.run_id]))


def rules(trend: Trend, name: str) -> dict[int, tuple[str, ...]]:
    (found,) = (one for one in trend.charts if one.name == name)
    return {place: point.rules for place, point in enumerate(found.points) if point is not None and point.rules}


def steady(nights: int, seed: int = 0) -> list[tuple[int, float]]:
    rng = np.random.default_rng(seed)
    return [(int(rng.binomial(400, 0.95)), float(rng.normal(1, 0.02))) for _ in range(nights)]


def test_a_missing_night_is_a_place_of_its_own_and_a_pause_is_not_filled_for_ever() -> None:
    runs = [night(number) for number in (0, 1, 2, 3, 6, 7, 8, 400)]
    slots = lay_out(runs, lambda run: numbers())
    assert [slot.day for slot in slots if slot.run is None][:2] == ["2026-09-05", "2026-09-06"]
    assert sum(slot.run is None for slot in slots) == 2 + 31
    assert [slot.run.run_id for slot in slots if slot.run][-1] == "night-400"


def test_runs_several_times_a_day_have_no_missing_nights() -> None:
    runs = [
        night(0, started_at=f"2026-09-0{day}T0{hour}:00:00+00:00", run_id=f"{day}{hour}")
        for day in (1, 4) for hour in (1, 2, 3)
    ]  # fmt: skip
    assert all(slot.run for slot in lay_out(runs, lambda run: numbers()))


def test_an_unfinished_run_has_a_place_without_numbers() -> None:
    runs = [night(0), night(1, status="interrupted"), night(2)]
    assert [slot.numbers is None for slot in lay_out(runs, lambda run: numbers())] == [False, True, False]


def test_changes_are_told_by_digest_and_an_unrecorded_one_is_not_invented() -> None:
    runs = [
        night(0, environment={}),
        night(1),
        night(2, model_digest="m" * 64),
        night(3, model_digest="m" * 64, environment={"encoder_digest": "f", "items_digest": "i"}),
        night(4, model_digest="m" * 64, policy_sha256="p", environment={"encoder_digest": "f", "items_digest": "j"}),
    ]
    told = [slot.changes for slot in lay_out(runs, lambda run: numbers())]
    assert told == [(), (), ("model",), ("scorer",), ("policy", "catalogue")]


def test_numbers_of_a_report_are_those_of_its_rows() -> None:
    made = synthetic.make_synthetic(200, pictures=[b""])
    tally = Tally()
    for row in made.rows:
        tally.add(row)
    kept = json.loads(json.dumps(summarise(see(made.run, made.rows))))
    assert from_summary(kept) == from_tally(tally, made.run.planned)
    assert from_summary({"generated": 3}) is None


def test_fewer_than_twenty_nights_are_judged_by_nothing() -> None:
    trend = chart([*steady(NEEDED_RUNS - 2), (10, 9.0)])
    assert alarms(trend) == []
    assert all(one.judged == 0 for one in trend.charts)
    assert "run charts around the median" in build_sections(trend)[0].lead


def test_a_fall_of_the_pass_rate_alarms_and_steady_nights_do_not() -> None:
    assert BEYOND not in {rule for broken in rules(chart(steady(40)), "pass-rate").values() for rule in broken}
    fallen = chart([*steady(30), (330, 1.0)])
    assert BEYOND in rules(fallen, "pass-rate")[30]
    assert BEYOND in rules(fallen, "blur")[30]
    assert "pass rate" in build_sections(fallen)[0].lead


def test_nights_that_vary_more_than_their_sizes_explain_do_not_alarm_on_laneys_chart() -> None:
    rng = np.random.default_rng(4)
    values = [(int(4000 * rng.normal(0.95, 0.01)), 1.0) for _ in range(60)]
    runs = [night(number) for number in range(60)]
    told = {run.run_id: numbers(accepted, items=4000) for run, (accepted, _) in zip(runs, values, strict=True)}
    trend = see_trend("n", lay_out(runs, lambda run: told[run.run_id]))
    beyond = [place for place, broken in rules(trend, "pass-rate").items() if BEYOND in broken]
    # A plain p chart's limits lie at 0.0103: a third of these nights would be beyond them.
    assert len(beyond) <= 1
    plain = sum(abs(accepted / 4000 - 0.95) > 3 * (0.95 * 0.05 / 4000) ** 0.5 for accepted, _ in values)
    assert plain > 10


def test_eight_nights_on_one_side_alarm() -> None:
    found = rules(chart([*[(380 + 4 * (-1) ** n, 1.0) for n in range(22)], *[(382, 1.0)] * 8]), "pass-rate")
    assert {place for place, broken in found.items() if RUN in broken} == {29}


def test_a_creeping_median_alarms_on_the_ewma_alone() -> None:
    drawn = [(380, 1 + 0.02 * (-1) ** n) for n in range(26)]
    found = rules(chart([*drawn, *[(380, 1.035 if n % 3 else 0.999) for n in range(14)]]), "sharpness")
    assert found
    assert {rule for broken in found.values() for rule in broken} == {EWMA}


def test_only_an_approved_baseline_starts_the_limits_anew() -> None:
    values = [*steady(24), *[(340, 1.0)] * 2, *[(int(a * 0.9), b) for a, b in steady(22, seed=9)]]
    moved = night(24, model_digest="x" * 64)
    assert len(rules(chart(values, n24=moved), "pass-rate")) > 20
    approved = replace(moved, environment={**moved.environment, BASELINE_KEY: "new student"})
    after = rules(chart(values, n24=approved), "pass-rate")
    assert len(after) < 5
    (found,) = (one for one in chart(values, n24=approved).charts if one.name == "pass-rate")
    assert found.points[23] is not None
    assert found.points[24] is not None
    assert found.points[23].centre > 0.94 > 0.9 > found.points[24].centre


def test_a_gap_is_never_bridged_by_a_line(tmp_path: Path) -> None:
    runs = [night(number) for number in range(30) if number not in (10, 11)]
    trend = see_trend("n", lay_out(runs, lambda run: numbers()))
    page = write_trend(trend, tmp_path / "trend").read_text()
    line = page.split('class="trend" d="')[1].split('"')[0]
    assert line.count("M") == 2


def test_page_is_well_formed_escaped_and_the_same_twice(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    run = night(3, name=evil, run_id=evil, environment={BASELINE_KEY: evil}, model_digest=evil)
    told = Numbers(400, 400, 380, 10, {evil: 20}, {evil: 1.0})
    slots = lay_out([night(0), night(1), night(2), run], lambda run: told)
    page = write_trend(see_trend(evil, slots), tmp_path / "trend")
    first = {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    assert evil not in page.read_text()
    PageChecker().feed(page.read_text())
    write_trend(see_trend(evil, slots), tmp_path / "trend")
    assert {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()} == first
    assert {"index.html", "trend.json", "SHA256SUMS"} <= first.keys()


def test_a_job_without_any_numbers_has_a_page_too(tmp_path: Path) -> None:
    page = write_trend(see_trend("n", (Slot("2026-09-01", night(0)),)), tmp_path / "trend").read_text()
    assert "No night has such numbers" in page


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'q.db'}"
    store = open_store(url)
    for number in range(3):
        made = synthetic.make_synthetic(20, seed=number, pictures=[b""])
        keep_run(store, night(number, planned=20), made.everything)
    keep_run(store, night(3, planned=20), (), status="interrupted")
    store.close()
    return url


def test_command_counts_from_the_rows_where_no_report_is(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "trend", "--db", database, "--json", "--last", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["job"], told["alarms"]) == ("nightly-apparel", [])
    points = json.loads(Path(told["report"]).with_name("trend.json").read_text())["charts"][0]["points"]
    assert [point["size"] if point else None for point in points] == [20, 20, 20, None]


def test_a_baseline_is_approved_by_name_and_stands_in_the_chain(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["report", "trend", "--db", database, "--rebaseline", "night-001", "--reason", "new student"]
    assert main(told) == 0
    store = open_store(database)
    run = store.run("night-001")
    assert run is not None
    assert run.environment[BASELINE_KEY] == "new student"
    assert run.environment["trend_baseline_by"]
    assert store.chain_problems() == []
    with store.database.read() as connection:
        events = connection.exec_driver_sql("select action, body from audit_event order by seq desc limit 1").all()
    store.close()
    assert events[0][0] == "trend.rebaseline"
    assert "new student" in events[0][1]
    assert "New baseline because" in Path("reports/trend-nightly-apparel/index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rebaseline", "night-001"], "needs --reason"),
        (["--rebaseline", "night-003", "--reason", "x"], "is interrupted"),
        (["--rebaseline", "night-003", "--reason", "x"], "3 to 500 characters"),
        (["--rebaseline", "nobody", "--reason", "because"], "no run 'nobody'"),
        (["--job", "other"], "no run of 'other'"),
    ],
)
def test_mistakes_are_told_and_change_nothing(
    database: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "trend", "--db", database, *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not Path("reports").exists()
