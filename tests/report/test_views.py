"""Every view, by the registry: empty runs, one item, escaping; the answer of the first screen."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.core.batchcaps import cap_key
from qcgen.core.errors import QcgenError
from qcgen.core.reviewstats import Audit, Person, ReviewStats, agreement, chapman, missed_share, share
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity
from qcgen.report import svg
from qcgen.report.answer import answer
from qcgen.report.html import render_index
from qcgen.report.intervals import exact, upper_bound
from qcgen.report.protocol import Figure, Panels, View
from qcgen.report.runview import Night, RunView
from qcgen.report.tally import Tally
from qcgen.report.viewlist import load_views
from tests.report import synthetic

GOLDEN = Path(__file__).parent / "golden"
EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
VIEWS = load_views()


def see(run: RunInfo, rows: list[Row] | tuple[Row, ...]) -> RunView:
    tally = Tally()
    for row in rows:
        tally.add(row)
    counts = tally.counts(run.planned)
    passed = exact(counts.accepted, counts.finished)
    return RunView(
        run=run, counts=counts, passed=passed, missed=exact(counts.audited_bad, counts.audited),
        missed_upper=upper_bound(counts.audited_bad, counts.audited), reasons=tally.reasons(), slices=tally.slices(),
        histograms=tally.histograms(), worst=(), nights=(Night(run.run_id, run.started_at, passed, ()),),
        unscored=dict(tally.unscored), lost_pictures=0, attempts=len(rows), spec={},
    )  # fmt: skip


def accepted(amount: int, **changes: object) -> list[Row]:
    row = next(row for row in synthetic.make_rows(9, pictures=[b""]) if row.outcome is Outcome.ACCEPT)
    return [replace(row, item_index=n, **changes) for n in range(amount)]  # type: ignore[arg-type]


def test_page_has_the_promised_sections_in_order() -> None:
    names = [
        "verdict",
        "gates",
        "reasons",
        "slices",
        "worst",
        "metrics",
        "reviewers",
        "history",
        "reproduce",
        "not-checked",
    ]
    assert [view.name for view in VIEWS] == names


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("items", [0, 1, 60])
def test_view_renders_any_size_of_run(view: View, items: int) -> None:
    run = synthetic.make_run(items)
    model = see(run, [row for row in synthetic.make_rows(items, pictures=[b""]) if row.current])
    section = view.build(model)
    page = render_index(model, [section, section])
    assert f'id="{view.name}"' in page
    assert section.blocks
    names = [table.name for table in section.tables()]
    assert len(names) == len(set(names))
    for table in section.tables():
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_batches_that_memory_made_smaller_are_told_with_what_it_means() -> None:
    (reproduce,) = (view for view in VIEWS if view.name == "reproduce")
    short = synthetic.make_run(4, environment={"device": "cpu", cap_key("decode"): "16", cap_key("generate"): "32"})
    lead = reproduce.build(see(short, [])).lead
    assert "Memory made batches smaller (decode 16, generate 32). Single pixels may differ" in lead
    assert "Memory" not in reproduce.build(see(synthetic.make_run(4), [])).lead


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_view_escapes_hostile_text(view: View) -> None:
    found = Finding("sharpness", Severity.BLOCK, EVIL, 0.1, 0.2)
    rows = accepted(
        20, sku=EVIL, prompt=EVIL, outcome=Outcome.REJECT, reasons=(found, Finding(EVIL, Severity.BLOCK, EVIL)),
        measures={EVIL: 1.0, "sharpness": 0.1}, unscored={EVIL: EVIL}, decision=EVIL,
    )  # fmt: skip
    rows = [
        replace(row, fields={EVIL: EVIL if n % 2 else "b", "colour": EVIL + str(n % 3)}) for n, row in enumerate(rows)
    ]
    run = synthetic.make_run(
        20, name=EVIL, model=EVIL, job_path=EVIL, environment={EVIL: EVIL}, gates=(Finding(EVIL, Severity.BLOCK, EVIL),)
    )
    model = see(run, rows)
    page = render_index(model, [view.build(model)] * 2)
    assert "<script" not in page.lower()
    assert "<img src=x" not in page.lower()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_charts_are_well_formed_and_named(view: View) -> None:
    made = synthetic.make_synthetic(200, pictures=[b""])
    charts = []
    for block in view.build(see(made.run, made.rows)).blocks:
        if isinstance(block, Figure):
            charts.append(block.chart)
        elif isinstance(block, Panels):
            charts += [panel.chart for panel in block.panels]
    for chart in charts:
        root = ElementTree.fromstring(str(chart))
        assert root[0].tag == "title"
        assert root[0].text
        assert root[1].tag == "desc"
        assert root[1].text


def test_folder_with_a_file_that_registers_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "looseviews"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "forgotten.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(QcgenError, match=r"forgotten\.py"):
        load_views("looseviews")


def test_two_views_on_one_place_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "twinviews"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(f"class V:\n    name = '{name}'\n    order = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(QcgenError, match=r"'two'.*order is taken"):
        load_views("twinviews")


ALL_CLEAR = Finding("licence", Severity.INFO, "fine")


@pytest.mark.parametrize(
    ("planned", "rows", "gates", "state", "words"),
    [
        (5, accepted(5), (ALL_CLEAR,), "good", "SHIP"),
        (5, [*accepted(4), replace(accepted(5)[4], outcome=Outcome.REJECT)], (ALL_CLEAR,), "good", "SHIP 4 of 5"),
        (5, accepted(5, outcome=Outcome.REVIEW), (ALL_CLEAR,), "warn", "CANNOT TELL YET"),
        (5, accepted(5, outcome=Outcome.REVIEW, decision="accept"), (ALL_CLEAR,), "good", "SHIP"),
        (5, accepted(5, decision="reject"), (ALL_CLEAR,), "bad", "HOLD"),
        (5, accepted(5), (Finding("aql", Severity.WARN, "undecided"),), "warn", "CANNOT TELL YET"),
        (5, accepted(5), (Finding("licence", Severity.BLOCK, "no"), ALL_CLEAR), "bad", "HOLD"),
        (6, accepted(5), (ALL_CLEAR,), "warn", "CANNOT TELL YET"),
        (5, accepted(5, outcome=Outcome.REJECT), (ALL_CLEAR,), "bad", "HOLD"),
        (2, accepted(2, outcome=Outcome.FAILED, relpath=None), (), "bad", "HOLD"),
        (0, [], (), "bad", "HOLD"),
    ],
)
def test_first_screen_answers_ship_or_not(
    planned: int, rows: list[Row], gates: tuple[Finding, ...], state: str, words: str
) -> None:
    told = answer(see(synthetic.make_run(planned, gates=gates), rows))
    assert (told.state, told.words) == (state, words)
    assert told.reasons


CHARTS = {
    "stacked_bar": svg.stacked_bar("k", "Title", (svg.Part("good", 3), svg.Part("bad", 1))),
    "bars": svg.bars("k", "Reasons", [("blur & <noise>", (svg.Part("bad", 2), svg.Part("warn", 1)))]),
    "histogram": svg.histogram(
        "k", "Values", edges=(0.0, 1.0, 2.0), lower=(4, 1), upper=(0, 2), limits=((1.5, "at most 1.5"),)
    ),
    "interval_dots": svg.interval_dots("k", "Slices", [svg.Dot("red", 0.8, 0.7, 0.9, "n 10", True)], reference=0.9),
    "sparkline": svg.sparkline(
        "k", "Nights", [svg.Point(0.9, 0.8, 0.95), svg.Point(None, 0, 0), svg.Point(0.92, 0.9, 0.97, True)], middle=0.9
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_small_chart_matches_the_golden_file(name: str) -> None:
    assert str(CHARTS[name]) + "\n" == (GOLDEN / f"{name}.svg").read_text(encoding="utf-8")


def test_a_blocking_check_beside_the_pictures_holds_and_a_warning_does_not() -> None:
    model = see(synthetic.make_run(5, gates=(ALL_CLEAR,)), accepted(5))
    broken = Finding("audit_chain", Severity.BLOCK, "audit event 3: missing")
    assert answer(replace(model, checks=(broken,))).reasons == ("audit event 3: missing",)
    duty = Finding("licence_duties", Severity.WARN, "Name the licence.")
    assert answer(replace(model, checks=(duty,))).words == "SHIP"


def test_gates_tell_licence_chain_and_which_marks_the_files_carry() -> None:
    (gates,) = (view for view in VIEWS if view.name == "gates")
    spec = {"governance": {"xmp": True, "c2pa": "none", "watermark": "none"}}
    model = replace(see(synthetic.make_run(5), accepted(5)), spec=spec, checks=(ALL_CLEAR,))
    table = next(table for table in gates.build(model).tables() if table.name == "checks")
    states = {str(row[1]): getattr(row[0], "text", "") for row in table.rows}
    assert states == {"licence": "In order", "XMP note": "On", "C2PA signature": "Off", "watermark": "Off"}


def test_a_signature_that_was_asked_for_and_is_not_made_counts_as_off() -> None:
    (gates,) = (view for view in VIEWS if view.name == "gates")
    model = replace(see(synthetic.make_run(5), accepted(5)), spec={"governance": {"xmp": True, "c2pa": "local"}})
    table = next(table for table in gates.build(model).tables() if table.name == "checks")
    (row,) = (row for row in table.rows if row[1] == "C2PA signature")
    assert (getattr(row[0], "text", ""), "cannot sign" in str(row[2])) == ("Off", True)


def stats(**changes: object) -> ReviewStats:
    missed = missed_share([Audit("dress", 0.5, bad) for bad in (True, *[False] * 59)])
    people = (Person("ada", 70, 6, 1, 2_000.0), Person("bob", 20, 2, 0, 4_000.0))
    told = ReviewStats(
        missed=missed, audits_open=0, strata_unseen=("hat",), seeds=share(9, 10), right_code=8,
        agreement=agreement([(True, True), *[(False, False)] * 18, (True, False)]), total=chapman(4, 1, 1),
        people=people,
        open_tasks={"flagged": 3}, open_disputes=1,
    )  # fmt: skip
    return replace(told, **changes)  # type: ignore[arg-type]


def test_reviewers_are_told_together_and_never_by_name() -> None:
    (view,) = (one for one in VIEWS if one.name == "reviewers")
    section = view.build(replace(see(synthetic.make_run(5), accepted(5)), review=stats()))
    assert section.lead == "90 answers by 2 people. 1 dispute is open."
    page = render_index(see(synthetic.make_run(5), accepted(5)), [section, section])
    assert "ada" not in page
    rows = {str(row[0]): getattr(row[1], "text", "") for row in section.tables()[0].rows}
    assert rows["Planted defects seen"] == "90.0 %"
    assert rows["Agreement"] == "95.0 %"
    assert rows["Time on a picture"] == "3.0 s"
    assert rows["Missed defects"] == "1.7 %"
    assert "hat" in (section.tables()[0].note or "")


def test_a_queue_without_an_answer_is_told_as_such() -> None:
    (view,) = (one for one in VIEWS if one.name == "reviewers")
    empty = stats(missed=missed_share([]), seeds=share(0, 0), agreement=agreement([]), total=None, people=())
    section = view.build(replace(see(synthetic.make_run(5), accepted(5)), review=empty))
    assert section.lead.startswith("No answer yet.")
    assert {getattr(row[1], "text", "") for row in section.tables()[0].rows} == {"none yet"}
    assert "Nobody was asked" in str(view.build(see(synthetic.make_run(5), accepted(5))).blocks)
