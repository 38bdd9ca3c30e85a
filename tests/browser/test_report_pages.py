"""Every report page as a person opens it: from disk, in Chromium, on a desktop and on a phone, light and dark."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.chromium import set_screen, settle, visit
from tests.browser.reportpages import NAMES, STATIC

# What stands in the way of a person; `moderate` and `minor` are advice.
SERIOUS = {"serious", "critical"}
# axe leaves out the text of charts.
CONTRAST = """() => {
const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const parts = parse(getComputedStyle(node).backgroundColor);
    if (parts.length === 3 || parts[3] === 1) return parts;
  }
  return [255, 255, 255];
};
const poor = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || node.closest("svg title, svg desc, style, script, noscript, .skip")) continue;
  if (!node.getClientRects().length) continue;
  const style = getComputedStyle(node);
  const [a, b] = [light(parse(node.closest("svg") ? style.fill : style.color)), light(ground(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push(`${node.tagName} ${node.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
}
return poor; }
"""


@pytest.mark.parametrize("name", NAMES)
def test_page_opens_from_disk_without_a_network_request_or_an_error(
    browser: Page, pages: dict[str, Path], name: str
) -> None:
    asked: list[str] = []
    errors: list[str] = []
    browser.on("request", lambda request: asked.append(request.url))
    browser.on("console", lambda message: errors.append(message.text))
    browser.on("pageerror", lambda error: errors.append(str(error)))
    set_screen(browser, 1280, 900)
    visit(browser, pages[name])
    assert any(url.endswith(pages[name].name) for url in asked), "the requests were not seen"
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []
    assert errors == []


@pytest.mark.parametrize("width", [360, 390, 1280])
@pytest.mark.parametrize("name", NAMES)
def test_page_needs_no_sideways_scrolling(browser: Page, pages: dict[str, Path], name: str, width: int) -> None:
    set_screen(browser, width, 844)
    visit(browser, pages[name])
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desktop", "dark phone"])
@pytest.mark.parametrize("name", NAMES)
def test_page_has_no_serious_fault_that_axe_finds(
    browser: Page, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    set_screen(browser, width, 900, dark=dark)
    visit(browser, pages[name])
    found = Axe().run(browser).response["violations"]
    told = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in SERIOUS]
    assert told == []


def test_open_details_of_the_grid_have_no_serious_fault(browser: Page, pages: dict[str, Path]) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, pages["grid"])
    browser.locator('[data-place="0"]').click()
    settle(browser)
    found = Axe().run(browser).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in SERIOUS] == []


@pytest.mark.parametrize("name", STATIC)
def test_print_leaves_out_the_menu_and_stays_short(browser: Page, pages: dict[str, Path], name: str) -> None:
    visit(browser, pages[name])
    pdf = browser.pdf(print_background=True, prefer_css_page_size=True)
    # The design allows 6 pages for a print of the report.
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


@pytest.mark.parametrize("name", STATIC)
def test_every_chart_has_a_title_a_description_and_a_table_in_its_card(
    browser: Page, pages: dict[str, Path], name: str
) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, pages[name])
    charts = browser.evaluate(
        "[...document.querySelectorAll('svg.chart')].map((c) => [c.querySelector('title')?.textContent,"
        "c.querySelector('desc')?.textContent, !!c.closest('.card')?.querySelector('table') || !!c.closest('.band')])"
    )
    assert charts
    assert all(title and said and table for title, said, table in charts)
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


def test_answer_and_counts_stand_on_the_first_screen(browser: Page, report_page: Path) -> None:
    set_screen(browser, 1280, 720)
    visit(browser, report_page)
    assert browser.evaluate("document.querySelector('.tiles').getBoundingClientRect().bottom") <= 720
    assert browser.locator(".answer").inner_text() == "CANNOT TELL YET"


def test_dark_mode_follows_the_system(browser: Page, report_page: Path) -> None:
    grounds = []
    for dark in (False, True):
        set_screen(browser, 1280, 900, dark=dark)
        visit(browser, report_page)
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(244, 245, 247)", "rgb(15, 18, 22)"]


def test_worst_images_are_shown_from_the_reports_own_folder(browser: Page, report_page: Path) -> None:
    set_screen(browser, 1280, 9000)
    visit(browser, report_page)
    browser.wait_for_load_state("networkidle")
    script = "[...document.querySelectorAll('.gallery img')].map((i) => [i.naturalWidth, i.getAttribute('src')])"
    shown = browser.evaluate(script)
    assert len(shown) == 50
    assert all(width > 0 and src.startswith("worst/") for width, src in shown)


def test_a_print_shows_twenty_of_them_and_the_digests(browser: Page, report_page: Path) -> None:
    visit(browser, report_page)
    browser.emulate_media(media="print")
    shown = "[...document.querySelectorAll('.gallery li')].filter((one) => one.getClientRects().length).length"
    assert browser.evaluate(shown) == 20
    footer = browser.locator("footer").inner_text()
    assert "grid.html" in footer
    assert re.search(r"run\.json\) [0-9a-f]{64}", footer)
    browser.emulate_media(media="screen")


def test_single_file_shows_its_pictures(browser: Page, pages: dict[str, Path]) -> None:
    set_screen(browser, 1280, 9000)
    visit(browser, pages["single"])
    widths = browser.evaluate("[...document.querySelectorAll('img')].map((image) => image.naturalWidth)")
    assert len(widths) > 100
    browser.wait_for_function("[...document.querySelectorAll('img')].every((image) => image.naturalWidth > 0)")


def test_index_of_runs_filters_and_leads_to_the_report(browser: Page, pages: dict[str, Path]) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, pages["runs"])
    assert browser.locator("#shown").inner_text() == "1 run"
    browser.locator("#text").fill("no such run")
    assert browser.locator("#rows tr").count() == 0
    browser.locator("#text").fill("")
    browser.locator("#rows a").click()
    browser.wait_for_url(pages["index"].as_uri())


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", STATIC)
def test_every_text_has_a_contrast_of_4_5(browser: Page, pages: dict[str, Path], name: str, dark: bool) -> None:
    set_screen(browser, 1280, 900, dark=dark)
    visit(browser, pages[name])
    assert browser.evaluate(CONTRAST) == []
