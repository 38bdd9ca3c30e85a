"""The report page as a person opens it: from disk, in Chromium."""

import base64
import json
import re
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.chromium import set_screen, visit

CONTRAST = """
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
return poor;
"""


def requests_of(browser: webdriver.Chrome) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["index.html", "grid.html"])
def test_page_opens_from_disk_without_a_network_request_or_an_error(browser, report_page: Path, name: str) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, report_page.with_name(name))
    asked = requests_of(browser)
    assert any(url.endswith(name) for url in asked), "the log of requests was not kept"
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [360, 390, 1280])
@pytest.mark.parametrize("name", ["index.html", "grid.html"])
def test_page_needs_no_sideways_scrolling(browser, report_page: Path, name: str, width: int) -> None:
    set_screen(browser, width, 844)
    visit(browser, report_page.with_name(name))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_answer_and_counts_stand_on_the_first_screen(browser, report_page: Path) -> None:
    set_screen(browser, 1280, 720)
    visit(browser, report_page)
    bottom = "return document.querySelector('.tiles').getBoundingClientRect().bottom"
    assert browser.execute_script(bottom) <= 720
    assert browser.execute_script("return document.querySelector('.answer').textContent") == "Ship after review"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["index.html", "grid.html"])
def test_every_text_has_a_contrast_of_4_5(browser, report_page: Path, name: str, dark: bool) -> None:
    set_screen(browser, 1280, 900, dark=dark)
    visit(browser, report_page.with_name(name))
    assert browser.execute_script(CONTRAST) == []


def test_dark_mode_follows_the_system(browser, report_page: Path) -> None:
    grounds = []
    for dark in (False, True):
        set_screen(browser, 1280, 900, dark=dark)
        visit(browser, report_page)
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(244, 245, 247)", "rgb(15, 18, 22)"]


def test_worst_images_are_shown_from_the_reports_own_folder(browser, report_page: Path) -> None:
    set_screen(browser, 1280, 6000)
    visit(browser, report_page)
    script = "return [...document.querySelectorAll('.gallery img')].map((i) => [i.naturalWidth, i.getAttribute('src')])"
    shown = browser.execute_script(script)
    assert len(shown) == 18
    assert all(width > 0 and src.startswith("worst/") for width, src in shown)


def test_every_chart_has_a_title_a_description_and_a_table_in_its_card(browser, report_page: Path) -> None:
    set_screen(browser, 1280, 900)
    visit(browser, report_page)
    charts = browser.execute_script(
        "return [...document.querySelectorAll('svg.chart')].map((c) => [c.querySelector('title')?.textContent,"
        "c.querySelector('desc')?.textContent, !!c.closest('.card')?.querySelector('table') || !!c.closest('.band')])"
    )
    assert len(charts) >= 10
    assert all(title and said and table for title, said, table in charts)
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


def test_print_leaves_out_the_menu_and_stays_short(browser, report_page: Path) -> None:
    visit(browser, report_page)
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})["data"]
    # The design allows 6 pages for a print of the report.
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(pdf))) <= 6
