"""The picture grid: keyboard, filters, sorting, details, links."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import set_screen, settle, visit


@pytest.fixture
def grid(browser: Page, report_page: Path) -> Page:
    set_screen(browser, 1280, 800)
    visit(browser, report_page.with_name("grid.html"))
    return browser


def place(page: Page) -> int:
    """Number of the focused cell, -1 when the focus is elsewhere."""
    return int(page.evaluate("document.activeElement.dataset.place ?? -1"))


def press(page: Page, key: str) -> int:
    page.keyboard.press(key)
    settle(page)
    return place(page)


def focus_grid(page: Page) -> int:
    page.locator('.tile-cell[tabindex="0"]').focus()
    return int(page.locator("#grid").get_attribute("aria-colcount") or 0)


def shown(page: Page) -> str:
    return page.locator("#shown").inner_text()


def choose(page: Page, control: str, value: str) -> None:
    script = """([id, value]) => { const c = document.getElementById(id); c.value = value;
                c.dispatchEvent(new Event("input", { bubbles: true })); }"""
    page.evaluate(script, [control, value])
    page.wait_for_timeout(150)
    settle(page)


def click(page: Page, number: int) -> None:
    page.locator(f'[data-place="{number}"]').click()
    settle(page)


def facts(page: Page) -> dict[str, str]:
    script = """() => Object.fromEntries([...document.querySelectorAll("#detail dt")]
        .map((name) => [name.textContent, name.nextSibling.textContent]))"""
    found: dict[str, str] = page.evaluate(script)
    return found


def score(page: Page, number: int) -> float:
    click(page, number)
    value = facts(page)["garment margin"]
    page.keyboard.press("Escape")
    return float(value)


def test_keyboard_walks_the_whole_grid(grid: Page) -> None:
    columns = focus_grid(grid)
    assert press(grid, "ArrowRight") == 1
    assert press(grid, "ArrowDown") == 1 + columns
    assert press(grid, "Home") == columns
    assert press(grid, "End") == 2 * columns - 1
    assert press(grid, "ArrowLeft") == 2 * columns - 2
    assert press(grid, "ArrowUp") == columns - 2
    assert press(grid, "ArrowUp") == columns - 2, "up at the top must stay"
    after_page = press(grid, "PageDown")
    assert after_page > columns
    assert after_page % columns == columns - 2
    assert press(grid, "PageUp") == columns - 2
    assert press(grid, "Control+End") == 599
    assert press(grid, "ArrowRight") == 599, "right at the end must stay"
    assert press(grid, "Control+Home") == 0


def test_only_a_screenful_of_rows_exists_and_they_are_numbered(grid: Page) -> None:
    rows = grid.evaluate("[...document.querySelectorAll('[role=row]')].map((r) => +r.ariaRowIndex)")
    columns = int(grid.locator("#grid").get_attribute("aria-colcount") or 0)
    assert int(grid.locator("#grid").get_attribute("aria-rowcount") or 0) == -(-600 // columns)
    assert rows == list(range(1, len(rows) + 1))
    assert len(rows) <= 8


def test_focus_survives_scrolling_far_away(grid: Page) -> None:
    focus_grid(grid)
    press(grid, "ArrowRight")
    grid.evaluate("document.getElementById('grid').scrollTop = 1e6")
    settle(grid)
    assert place(grid) == 1
    assert grid.locator('.tile-cell[tabindex="0"]').count() == 1


def test_enter_opens_the_details_and_escape_returns_to_the_cell(grid: Page) -> None:
    focus_grid(grid)
    press(grid, "ArrowRight")
    press(grid, "Enter")
    detail = grid.locator("#detail")
    assert detail.is_visible()
    assert grid.evaluate("document.activeElement.textContent") == "Close"
    assert "a photo of a black dress" in detail.inner_text()
    press(grid, "Escape")
    assert not detail.is_visible()
    assert place(grid) == 1


def test_details_show_the_full_picture_and_fall_back_to_the_tile(grid: Page) -> None:
    click(grid, 0)
    assert grid.evaluate("document.querySelector('#detail .photo').naturalWidth") == 128
    focus_grid(grid)
    press(grid, "Control+End")  # only the first 40 images lie beside this report
    press(grid, "Enter")
    grid.get_by_text("not where it was written").wait_for()


def test_evidence_lies_over_the_picture_and_its_slider_fades_it(grid: Page) -> None:
    click(grid, 0)
    opacity = "getComputedStyle(document.querySelector('#detail .over')).opacity"
    assert grid.evaluate(opacity) == "0.6"
    grid.locator("#overlay").fill("25")
    assert grid.evaluate(opacity) == "0.25"
    focus_grid(grid)
    click(grid, 1)
    assert grid.evaluate(opacity) == "0.25", "what was set must stay for the next picture"
    click(grid, 5)
    assert grid.locator("#overlay").count() == 0, "this picture has no overlay"


def test_zoom_shows_each_pixel_and_stays_for_the_next_picture(grid: Page) -> None:
    click(grid, 0)
    width = "document.querySelector('#detail .photo').getBoundingClientRect().width"
    press(grid, "+")
    assert grid.evaluate(width) == 128
    press(grid, "+")
    assert grid.evaluate(width) == 256
    press(grid, "ArrowRight")
    assert (grid.locator("#zoom").input_value(), grid.evaluate(width)) == ("2", 256)
    grid.locator("#zoom").select_option("fit")
    assert grid.evaluate(width) > 256
    grid.get_by_role("button", name="Larger").click()
    assert grid.evaluate("document.getElementById('detail').getBoundingClientRect().width") == 1280


def test_filters_combine_and_clear(grid: Page) -> None:
    assert shown(grid) == "600 images"
    choose(grid, "product", "dress")
    assert shown(grid) == "60 of 600 images"
    choose(grid, "colour", "red")
    assert shown(grid) == "8 of 600 images"
    choose(grid, "text", "NO SUCH WORD")
    assert shown(grid) == "0 of 600 images"
    assert "No image fits" in grid.locator("#tall").inner_text()
    grid.locator("#clear").click()
    settle(grid)
    assert shown(grid) == "600 images"


def test_text_filter_finds_a_prompt_a_sku_and_an_id(grid: Page) -> None:
    choose(grid, "text", "red DRESS")
    assert shown(grid) == "8 of 600 images"
    choose(grid, "text", "DR-1000")
    assert shown(grid) == "1 of 600 images"
    label = grid.locator('[data-place="0"]').get_attribute("aria-label") or ""
    choose(grid, "text", label.rsplit(" ", 1)[1])
    assert shown(grid) == "1 of 600 images"


def test_sorting_by_a_metric_orders_all_rows_and_puts_missing_values_last(grid: Page) -> None:
    choose(grid, "sort", "m:garment_margin")
    choose(grid, "direction", "down")
    first = score(grid, 0)
    focus_grid(grid)
    assert score(grid, 1) <= first
    focus_grid(grid)
    press(grid, "Control+End")
    press(grid, "Enter")
    assert facts(grid)["garment margin"] == "not scored"


def test_address_carries_the_filters(browser: Page, report_page: Path) -> None:
    set_screen(browser, 1280, 800)
    visit(browser, report_page.with_name("grid.html"), "outcome=reject")
    assert 0 < int(shown(browser).split()[0]) < 600
    assert set(browser.locator(".tile-cell .mark").all_text_contents()) == {"Rejected"}
    choose(browser, "outcome", "failed")
    assert browser.url.endswith("#outcome=failed")


def test_address_carries_the_open_picture_and_opens_it_again(grid: Page, report_page: Path) -> None:
    choose(grid, "product", "dress")
    click(grid, 3)
    name = facts(grid)["Id"]
    address = grid.url.partition("#")[2]
    assert address == f"product=dress&picture={name}"
    visit(grid, report_page.with_name("grid.html"), address)
    assert (shown(grid), facts(grid)["Id"]) == ("60 of 600 images", name)
    press(grid, "Escape")
    assert grid.url.endswith("#product=dress")


def test_a_link_to_a_picture_shows_it_though_a_filter_hides_it(grid: Page, report_page: Path) -> None:
    click(grid, 0)
    name = facts(grid)["Id"]
    visit(grid, report_page.with_name("grid.html"), f"product=dress&picture={name}")
    assert facts(grid)["Id"] == name
    visit(grid, report_page.with_name("grid.html"), "picture=none")
    assert not grid.locator("#detail").is_visible()


def test_letters_do_nothing_in_the_grid(grid: Page) -> None:
    focus_grid(grid)
    before = (shown(grid), place(grid))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        grid.keyboard.press(letter)
    settle(grid)
    assert (shown(grid), place(grid)) == before
    assert not grid.locator("#detail").is_visible()
