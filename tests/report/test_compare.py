"""Two runs against each other: pairing, statistics against scipy and closed forms, the page, the command."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel

from qcgen.cli.main import main
from qcgen.core.types import Outcome, Row
from qcgen.report.compare import Comparison, compare
from qcgen.report.comparepage import write_comparison
from qcgen.report.comparepics import Shown
from qcgen.report.paired import BOOTSTRAPPED, correct, difference, mcnemar, mean_interval
from qcgen.report.pairs import pair, read_side
from qcgen.store.sql import open_store
from tests.report import synthetic
from tests.report.pagecheck import PageChecker
from tests.report.stored import keep_run

MADE = synthetic.make_synthetic(240, pictures=[b""])
SIGNS = {name: 1 if least else -1 for name, (_, _, _, least) in synthetic.DETECTORS.items()}
NEW = replace(MADE.run, run_id="new-run", model="students/refined", seconds=40.0)


def against(rows: Sequence[Row], reference: Sequence[Row] = MADE.everything) -> Comparison:
    found = compare(MADE.run, NEW, (read_side(reference), read_side(rows)), signs=SIGNS)
    assert found is not None
    return found


def moved(row: Row, **shifts: float) -> Row:
    return replace(row, measures={name: value + shifts.get(name, 0.0) for name, value in row.measures.items()})


def test_the_same_noise_is_paired_though_items_are_numbered_otherwise() -> None:
    turned = [replace(row, item_index=1000 - row.item_index) for row in MADE.everything]
    found = pair(read_side(MADE.everything), read_side(turned))
    assert (found.how, len(found.one), found.unpaired) == ("seed", 240, (0, 0))


def test_runs_of_other_seeds_are_paired_by_item_and_copies_in_their_order() -> None:
    others = [replace(row, seed=row.seed ^ 1, sku="S", prompt="p") for row in MADE.everything]
    mine = [replace(row, sku="S", prompt="p") for row in MADE.everything]
    found = pair(read_side(mine), read_side(others[:-1]))
    assert found.how == "item"
    assert found.one.tolist() == found.other.tolist()
    assert found.unpaired[0] == 240 - len(found.other)


def test_retries_do_not_enter_the_pairs_and_decide_what_stands() -> None:
    side = read_side(MADE.everything)
    assert len(side.items) == 240
    rejected_first = sum(row.attempt == 1 and row.outcome is Outcome.REJECT for row in MADE.everything)
    rejected_last = sum(row.current and row.outcome is Outcome.REJECT for row in MADE.everything)
    names = [str(outcome) for outcome in Outcome]
    assert [names[code] for code in side.first()].count("reject") == rejected_first
    assert [names[code] for code in side.standing()].count("reject") == rejected_last < rejected_first


def test_a_run_is_the_same_as_itself() -> None:
    found = against(MADE.everything)
    assert (found.first.change, found.first.p) == (0.0, 1.0)
    assert all(one.ties == one.pairs and one.better == 0 and one.low == one.high == 0 for one in found.metrics)
    assert found.worst == ()
    assert len(found.drawn) == 12


def test_difference_agrees_with_the_paired_t_test_and_covers_it() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=400)
    other = one + rng.normal(0.2, 0.5, size=400)
    other[:5] = np.nan
    found = difference("x", one, other, sign=-1)
    assert found is not None
    assert found.pairs == 395
    assert found.p == pytest.approx(float(ttest_rel(other[5:], one[5:]).pvalue))
    assert found.low < found.mean < found.high
    assert found.up + found.ties + found.down == 395
    assert (found.wins, found.losses) == (found.down, found.up)
    assert found.effect == pytest.approx(found.mean / one[5:].std(ddof=1))


def test_bootstrap_and_students_interval_agree_where_one_hands_over_to_the_other() -> None:
    gaps = np.random.default_rng(2).normal(0.1, 1, size=BOOTSTRAPPED + 1)
    bootstrapped, students = mean_interval(gaps[:-1]), mean_interval(gaps)
    # The error of a quantile of 2,000 resamples: about 3 % of the width.
    assert bootstrapped == pytest.approx(students, abs=0.05 * (students[1] - students[0]))


def test_interval_of_the_mean_covers_it_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        low, high = mean_interval(rng.exponential(size=60) - 1)
        hits += low <= 0 <= high
    # 95 % of 200 is 190; a percentile bootstrap of skewed values is known to be a little short.
    assert 174 <= hits <= 199


def test_no_difference_among_many_is_rarely_called_one() -> None:
    rng = np.random.default_rng(7)
    found = [difference(str(n), rng.normal(size=80), rng.normal(size=80), sign=1) for n in range(200)]
    known = [one for one in found if one is not None]
    assert sum(one.p < 0.05 for one in known) >= 5
    assert sum(one.better != 0 for one in correct(known)) <= 1


def test_mcnemar_is_exact() -> None:
    assert mcnemar(2, 12) == pytest.approx(binomtest(2, 14).pvalue)
    assert mcnemar(0, 0) == 1.0


def test_direction_decides_what_is_better_and_an_unknown_one_decides_nothing() -> None:
    rows = [moved(row, sharpness=0.1, noise=0.8) for row in MADE.everything]
    found = {one.name: one for one in against(rows).metrics}
    assert (found["sharpness"].better, found["noise"].better, found["clipping"].better) == (1, -1, 0)
    assert found["noise"].losses == found["noise"].pairs
    sides = read_side(MADE.everything), read_side(rows)
    unknown = compare(MADE.run, NEW, sides, signs={})
    assert unknown is not None
    assert {one.better for one in unknown.metrics} == {0}


def test_a_slice_that_got_worse_is_found_and_the_others_are_not() -> None:
    rows = [moved(row, sharpness=-0.2) if row.fields["product"] == "hat" else row for row in MADE.everything]
    found = against(rows)
    place = found.sliced.index("sharpness")
    called = {
        (row.field, row.value) for row in found.slices for cell in row.cells[place : place + 1] if cell and cell.better
    }
    assert ("product", "hat") in called
    assert {value for field, value in called if field == "product"} == {"hat"}


def test_largest_regressions_come_first() -> None:
    kept = [row.item_index for row in MADE.everything if row.attempt == 1 and row.outcome is Outcome.ACCEPT][:3]
    rows = [
        replace(row, outcome=(Outcome.REJECT, Outcome.REVIEW)[kept.index(row.item_index) % 2])
        if row.item_index in kept and row.attempt == 1 else row
        for row in MADE.everything
    ]  # fmt: skip
    found = against(rows)
    assert [pair[0] for pair in found.worst] == [*sorted((kept[0], kept[2])), kept[1]] or {
        pair[0] for pair in found.worst[:2]
    } == {kept[0], kept[2]}
    assert found.worst[2][0] == kept[1]
    assert found.first.moves["accept", "reject"] == 2
    assert found.first.p == pytest.approx(mcnemar(0, 3))


def test_strangers_have_no_comparison() -> None:
    others = [replace(row, prompt="something else") for row in MADE.everything]
    assert compare(MADE.run, NEW, (read_side(MADE.everything), read_side(others)), signs={}) is None


def test_page_is_well_formed_escaped_and_the_same_twice(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    rows = [
        replace(moved(row, sharpness=-0.2), sku=evil, outcome=Outcome.REJECT, fields={**row.fields, evil: evil})
        for row in MADE.everything
    ]
    found = against(rows)
    run = replace(NEW, name=evil, model=evil, out_dir=str(tmp_path))
    shown = Shown(MADE.run, MADE.everything, {evil: evil}, tmp_path), Shown(run, rows, {evil: "x"}, tmp_path)
    page = write_comparison(replace(found, other=run), *shown, tmp_path / "compare")
    first = {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    assert evil not in page.read_text()
    PageChecker().feed(page.read_text())
    assert len(list((page.parent / "pairs").iterdir())) == 24
    assert re.search(r'href="\.\./grid\.html#picture=[0-9a-f]{32}"', page.read_text())
    write_comparison(replace(found, other=run), *shown, tmp_path / "compare")
    assert {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()} == first
    told = json.loads(first["compare.json"])
    assert told["first"]["accepted_other"] == 0


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'q.db'}"
    store = open_store(url)
    kept = [row for row in MADE.everything if row.item_index < 60]
    spec = json.dumps({
        "version": 1, "name": "nightly-apparel", "model": "embedded:apparel", "purpose": "research",
        "items": {"matrix": {"product": ["dress"]}, "prompt": "a {product}"}, "output": {"dir": "out"},
    })  # fmt: skip
    keep_run(store, replace(MADE.run, planned=60, spec_json=spec), kept)
    new = replace(NEW, planned=60, model="embedded:apparel", spec_json=spec)
    keep_run(store, new, [moved(row, sharpness=-0.1) for row in kept])
    store.close()
    return url


def test_command_compares_stored_runs_with_known_directions(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "compare", MADE.run.run_id, "new-run", "--db", database, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pairs"], told["paired_by"], told["change"]) == (60, "seed", 0.0)
    numbers = json.loads(Path(told["report"]).with_name("compare.json").read_text())
    (sharp,) = (one for one in numbers["metrics"] if one["name"] == "sharpness")
    assert sharp["difference"] == pytest.approx(-0.1)
    page = Path(told["report"]).read_text()
    assert "CC0-1.0" in page or "Lineage" in page


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("new-run", "new-run"), "is the same run as REFERENCE"),
        (("new-run", "nobody"), "no run 'nobody'"),
    ],
)
def test_mistakes_are_told(
    database: str, names: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "compare", *names, "--db", database]) == 2
    assert said in capsys.readouterr().err


def test_a_stored_run_gets_its_report_index_and_single_file(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "new-run", "--db", database, "--format", "csv,parquet", "--single-file", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = Path(told["report"]).parent
    first = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {"index.html", "single.html", "images.parquet", "images.csv", "SHA256SUMS"} <= first.keys()
    assert b"Every event follows the one before it." in first["index.html"]
    again = ["report", "write", "new-run", "--db", database, "--format", "csv,parquet", "--single-file"]
    assert main(again) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == first
    assert "new-run" in Path("reports/runs.js").read_text()
