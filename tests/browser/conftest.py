"""One browser for all tests of this folder; skipped, loudly, where Chromium is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.chromium import open_browser, skip_without_chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    skip_without_chromium()
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`index.html` of a run of 600 items with its images beside it."""
    from qcgen.report.write import write_report
    from tests.report import synthetic

    root = tmp_path_factory.mktemp("run")
    made = synthetic.make_synthetic(600)
    synthetic.save_images(made.rows[:40], root / "out", size=128)
    return write_report(
        made.run,
        made.rows,
        folder=root / "reports" / made.run.run_id,
        images_root=root / "out",
        formats=("html", "csv"),
        every_attempt=made.everything,
    )
