"""Text from outside never runs: with escaping, and with the content policy alone."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page

from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity
from qcgen.report.compare import compare
from qcgen.report.comparepage import write_comparison
from qcgen.report.comparepics import Shown
from qcgen.report.nights import BASELINE_BY_KEY, BASELINE_KEY, Numbers, lay_out
from qcgen.report.pairs import read_side
from qcgen.report.runindex import add_to_index
from qcgen.report.trend import see_trend, write_trend
from qcgen.report.write import Beside, write_report
from tests.browser.chromium import set_screen, visit
from tests.browser.payloads import PAYLOADS
from tests.report import synthetic

PAGES = ("index", "grid", "single", "runs", "trend", "compare")
_ELEMENTS = "iframe, base, object, meta[http-equiv=refresh], img[onerror], [onload], [onfocus], [ontoggle], math"


def hostile_run(number: int = 0) -> RunInfo:
    """A payload in every text field of the run."""
    bad = PAYLOADS[number % len(PAYLOADS)]
    return replace(
        synthetic.make_run(len(PAYLOADS), run_id=f"{bad}{number}"[:200]), name=bad, status=bad, purpose=bad,
        job_path=bad, model=bad, model_digest=bad, spec_sha256=bad, policy_sha256=bad, started_at=bad, ended_at=bad,
        environment={text: text for text in PAYLOADS}, seconds_by_stage={bad: 1.0},
        spec_json=json.dumps({"name": list(PAYLOADS)}),
        gates=tuple(Finding(text, Severity.WARN, text) for text in PAYLOADS),
    )  # fmt: skip


def hostile_rows() -> list[Row]:
    """One row a payload, with it in every text field."""
    made = synthetic.make_synthetic(len(PAYLOADS), pictures=[b""])
    rows = []
    for number, (row, bad) in enumerate(zip(made.rows, PAYLOADS, strict=True)):
        found = Finding(bad, Severity.BLOCK, bad, 1.0, 0.5, {bad: bad})
        rows.append(
            replace(
                row, sku=bad, prompt=bad, fields={"product": bad, "colour": bad, bad[:40]: bad}, reasons=(found,),
                error=bad, decision=bad, relpath=bad, file_sha256=bad, image_id=f"{bad}{number}",
                outcome=(Outcome.REJECT, Outcome.REVIEW, Outcome.ACCEPT)[number % 3],
                measures={PAYLOADS[number % 24]: 1.0 + number}, unscored={PAYLOADS[100 + number % 24]: bad},
            )
        )  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hostile")
    rows = hostile_rows()
    checks = tuple(Finding(text, Severity.INFO, text) for text in PAYLOADS)
    overlays = {row.image_id: PAYLOADS[0] for row in rows}
    index = write_report(
        hostile_run(), rows, folder=root / "reports" / "report", images_root=root / "out",
        formats=("html", "csv", "parquet"), every_attempt=rows, beside=Beside(checks=checks, overlays=overlays),
        single=True,
    )  # fmt: skip
    return {
        "index": index,
        "grid": index.with_name("grid.html"),
        "single": index.with_name("single.html"),
        "runs": add_to_index(index.parent),
        "trend": _hostile_trend(root),
        "compare": _hostile_comparison(root, rows),
    }


def _hostile_trend(root: Path) -> Path:
    told = Numbers(40, 40, 30, 2, dict.fromkeys(PAYLOADS, 3), dict.fromkeys(PAYLOADS[:60], 1.0))
    nights = []
    for night in range(24):
        started = f"2026-10-{night + 1:02d}T01:00:00"
        facts = {BASELINE_KEY: PAYLOADS[night], BASELINE_BY_KEY: PAYLOADS[night + 30]} if night == 2 else {}
        run = replace(hostile_run(night), started_at=started, status="complete", environment=facts)
        nights.append(run)
    fallen = replace(told, accepted=1)
    slots = lay_out(nights, lambda run: fallen if run is nights[-1] else told)
    return write_trend(see_trend(PAYLOADS[0], slots), root / "reports" / "trend")


def _hostile_comparison(root: Path, rows: list[Row]) -> Path:
    one, other = replace(hostile_run(1), seconds=2.0), replace(hostile_run(2), seconds=1.0)
    worse = [replace(row, outcome=Outcome.FAILED, measures={k: v + 1 for k, v in row.measures.items()}) for row in rows]
    first = [replace(row, attempt=1) for row in rows]
    sides = read_side(first), read_side([replace(row, attempt=1) for row in worse])
    found = compare(one, other, sides, signs={}, shown=len(PAYLOADS))
    assert found is not None
    facts = {text: text for text in PAYLOADS}
    shown = Shown(one, first, facts, root), Shown(other, [replace(row, attempt=1) for row in worse], {}, root)
    return write_comparison(found, *shown, root / "reports" / "compare")


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 200


@pytest.mark.parametrize("name", PAGES)
def test_no_payload_runs_and_all_are_shown_as_text(browser: Page, hostile: dict[str, Path], name: str) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, hostile[name])
    if name == "grid":
        browser.locator('[data-place="0"]').click()
        walked = browser.evaluate(
            """(steps) => { for (let i = 0; i < steps; i++) document.getElementById("detail").dispatchEvent(
                   new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
               return location.hash.length; }""",
            len(PAYLOADS),
        )
        assert walked > 0
        browser.wait_for_timeout(200)
    assert browser.evaluate("window.hit") is None
    assert "<script>" in browser.locator("body").inner_text()
    assert browser.evaluate(f"document.querySelectorAll('{_ELEMENTS}').length") == 0


@pytest.mark.parametrize("name", PAGES)
def test_content_policy_stops_payloads_even_without_escaping(
    browser: Page, hostile: dict[str, Path], name: str
) -> None:
    page = hostile[name]
    # What ends a document or starts another one would hide those after it.
    shown = [payload for payload in PAYLOADS if "refresh" not in payload and "<base" not in payload]
    raw = page.with_name(f"raw-{page.name}")
    text = page.read_text(encoding="utf-8").replace(
        "</body>", "".join(f"<div>{one}</div>" for one in shown) + "</body>"
    )
    raw.write_text(text, encoding="utf-8", errors="replace")
    visit(browser, raw)
    browser.wait_for_load_state("networkidle")
    assert browser.evaluate("window.hit") is None
    # The same page without its policy proves that the payloads do run.
    bare = page.with_name(f"bare-{page.name}")
    bare.write_text(
        text.replace('http-equiv="Content-Security-Policy"', 'name="nothing"'), encoding="utf-8", errors="replace"
    )
    visit(browser, bare)
    browser.wait_for_function("window.hit >= 20")


def test_no_csv_cell_begins_a_formula(hostile: dict[str, Path]) -> None:
    cells = 0
    for path in sorted(hostile["index"].parent.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    cells += 1
                    assert not cell.startswith(("=", "+", "@", "\t", "\r")), (path.name, cell)
                    assert not cell.startswith("-") or float(cell) < 0, (path.name, cell)
    assert cells > 10_000
