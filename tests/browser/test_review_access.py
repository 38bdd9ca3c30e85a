"""The desk for everybody: axe, contrast in both themes, phone width, print."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from qcgen.store.sql import SqlStore
from tests.browser.desk import DESKTOP, PHONE, Served, enter, serving_desk, window
from tests.review.making import make_store

LOOKS = [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)]
NAMES = ["desktop-light", "desktop-dark", "phone-light", "phone-dark"]


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    return chromium


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    made = make_store(tmp_path_factory.mktemp("access"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def desk(store: SqlStore) -> Iterator[Served]:
    with serving_desk(store) as served:
        yield served


def findings(page: Page) -> list[str]:
    """Serious and critical ones, each with where it is."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def screens(page: Page, desk: Served) -> Iterator[str]:
    """Every screen and every dialog, one after the other."""
    yield "desk"
    for key, name in (("v", "compare"), ("h", "map"), ("r", "reasons")):
        page.keyboard.press(key)
        page.wait_for_timeout(150)
        yield name
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("#reason-help dd")
    yield "help"
    page.goto(f"{desk.address}/grid")
    page.wait_for_selector(".cell")
    yield "grid"
    page.click("#all")
    page.keyboard.press("r")
    page.wait_for_selector("#preview img")
    yield "bulk"
    page.goto(f"{desk.address}/statistics")
    yield "statistics"
    page.goto(f"{desk.address}/login")
    yield "login"


@pytest.mark.parametrize(("size", "dark"), LOOKS, ids=NAMES)
def test_axe_finds_nothing_serious_and_nothing_needs_sideways_scrolling(
    browser: Browser, desk: Served, size: tuple[int, int], dark: bool
) -> None:
    with window(browser, size, dark=dark) as context:
        page = enter(context, desk)
        for name in screens(page, desk):
            assert findings(page) == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name


def test_axe_does_find_what_is_wrong(browser: Browser, desk: Served) -> None:
    with window(browser) as context:
        page = enter(context, desk)
        page.evaluate("document.querySelector('#lens').previousElementSibling.remove()")
        page.keyboard.press("h")
        page.wait_for_selector("#lens")
        assert any(one.startswith("select-name") for one in findings(page))


def test_dark_mode_follows_the_system(browser: Browser, desk: Served) -> None:
    grounds = []
    for dark in (False, True):
        with window(browser, dark=dark) as context:
            page = enter(context, desk)
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(244, 245, 247)", "rgb(15, 18, 22)"]


def test_statistics_print_on_two_pages_at_most(browser: Browser, desk: Served) -> None:
    with window(browser) as context:
        page = enter(context, desk)
        page.goto(f"{desk.address}/statistics")
        pdf = page.pdf(prefer_css_page_size=True, print_background=True)
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 2
        page.emulate_media(media="print")
        assert page.locator(".bar nav").is_hidden()


def test_colours_are_those_of_the_report(root: Path) -> None:
    def tokens(path: Path) -> list[dict[str, str]]:
        blocks = re.findall(r":root \{(.*?)\}", path.read_text(encoding="utf-8"), re.S)[:2]
        return [dict(re.findall(r"--([a-z-]+): ([^;]+);", block)) for block in blocks]

    ours = tokens(root / "qcgen/review/templates/base.css")
    theirs = tokens(root / "qcgen/report/templates/style.css")
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        shared = mine.keys() & other.keys()
        assert len(shared) >= 20
        assert {name: mine[name] for name in shared} == {name: other[name] for name in shared}
