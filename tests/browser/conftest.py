"""One browser for all tests of this folder; skipped, loudly, where Chromium is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import find_chromium, open_browser
from tests.browser.reportpages import write_pages


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Iterator[Page]:
    """A tab."""
    page = chromium.new_page()
    page.set_default_timeout(20_000)
    yield page
    page.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of report page, by its name."""
    return write_pages(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def report_page(pages: dict[str, Path]) -> Path:
    """`index.html` of a run of 600 items with the images of 40 beside it, three with an overlay."""
    return pages["index"]
