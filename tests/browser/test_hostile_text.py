"""Text from outside never runs: with escaping, and with the content policy alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from qcgen.core.types import Finding, Severity
from qcgen.report.write import write_report
from tests.browser.chromium import set_screen, settle, visit
from tests.report import synthetic

RUN = "window.hit=1"
PAYLOADS = (
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"\"><svg onload={RUN}>",
    f"' onmouseover='{RUN}' autofocus onfocus='{RUN}",
    f"</script><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"--><script>{RUN}</script>",
    f"javascript:{RUN}",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
    f"');{RUN};//",
    f"\");{RUN};//",
    f"`${{{RUN}}}`",
    f"\u2028{RUN}//",
    "{{ 7*7 }}<iframe srcdoc='<script>parent.hit=1</script>'>",
    f"<a href=javascript:{RUN}>x</a>",
    f"<details open ontoggle={RUN}>",
    "<base href=//example.org/><link rel=stylesheet href=x>",
    f"<math><mtext></mtext><mglyph><style></math><img src=x onerror={RUN}>",
    "../../../etc/passwd\0<b>",
)  # fmt: skip


def _hostile_page(root: Path) -> Path:
    """A run with a payload in every text field of every row and of the run."""
    made = synthetic.make_synthetic(len(PAYLOADS) * 2)
    rows = []
    for number, row in enumerate(made.rows):
        bad = PAYLOADS[number % len(PAYLOADS)]
        found = Finding(bad, Severity.BLOCK, bad, 1.0, 0.5, {bad: bad})
        rows.append(
            replace(
                row, sku=bad, prompt=bad, fields={"product": bad, "colour": bad, bad: bad}, reasons=(found,), error=bad,
                decision=bad, relpath=bad, file_sha256=bad, image_id=f"{bad}{number}", measures={bad: 1.0 + number},
                unscored={bad: bad},
            )
        )  # fmt: skip
    bad = PAYLOADS[0]
    run = replace(
        made.run, name=bad, status=bad, purpose=bad, job_path=bad, model=bad, model_digest=bad, spec_sha256=bad,
        policy_sha256=bad, started_at=bad, ended_at=bad, environment={bad: bad}, seconds_by_stage={bad: 1.0},
        spec_json=json.dumps({"name": list(PAYLOADS)}),
        gates=tuple(Finding(text, Severity.WARN, text) for text in PAYLOADS),
    )  # fmt: skip
    return write_report(
        run, rows, folder=root / "report", images_root=root / "out", formats=("html", "csv"), every_attempt=rows
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _hostile_page(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", ["index.html", "grid.html"])
def test_no_payload_runs_and_all_are_shown_as_text(browser: webdriver.Chrome, hostile: Path, name: str) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, hostile.with_name(name))
    if name == "grid.html":
        for cell in range(len(PAYLOADS)):
            browser.execute_script("document.querySelector(`[data-place='${arguments[0]}']`)?.click()", cell)
            settle(browser)
    assert browser.execute_script("return window.hit") is None
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "<script>" in text
    assert (
        browser.execute_script("return document.querySelectorAll('iframe, base, img[onerror], [onload]').length") == 0
    )


@pytest.mark.parametrize("name", ["index.html", "grid.html"])
def test_content_policy_stops_payloads_even_without_escaping(
    browser: webdriver.Chrome, hostile: Path, name: str
) -> None:
    page = hostile.with_name(name)
    payloads = "".join(payload for payload in PAYLOADS if "srcdoc" not in payload)
    raw = page.with_name(f"raw-{name}")
    raw.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{payloads}</body>"), encoding="utf-8")
    visit(browser, raw)
    assert browser.execute_script("return window.hit") is None
    # The same page without its policy proves that the payloads do run.
    bare = page.with_name(f"bare-{name}")
    without = raw.read_text(encoding="utf-8").replace('http-equiv="Content-Security-Policy"', 'name="nothing"')
    bare.write_text(without, encoding="utf-8")
    visit(browser, bare)
    assert browser.execute_script("return window.hit") == 1
