"""One browser for all tests of this folder; skipped, loudly, where Chromium is missing."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "report")]

from chromium import find_chromium, open_browser  # noqa: E402 (after the path is set)


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    if find_chromium() is None:
        pytest.skip("chromium and chromedriver are missing: apt-get install chromium chromium-driver")
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`index.html` of a run of 600 items with its images beside it."""
    import synthetic

    from qcgen.report.write import write_report

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
