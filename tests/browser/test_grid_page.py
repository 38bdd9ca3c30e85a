"""The picture grid: keyboard, filters, sorting, details."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import set_screen, settle, visit


@pytest.fixture
def grid(browser: webdriver.Chrome, report_page: Path) -> webdriver.Chrome:
    set_screen(browser, 1280, 800)
    visit(browser, report_page.with_name("grid.html"))
    return browser


def place(browser: webdriver.Chrome) -> int:
    """Number of the focused cell, -1 when the focus is elsewhere."""
    return int(browser.execute_script("return document.activeElement.dataset.place ?? -1"))


def press(browser: webdriver.Chrome, *keys: str) -> int:
    browser.switch_to.active_element.send_keys(*keys)
    settle(browser)
    return place(browser)


def focus_grid(browser: webdriver.Chrome) -> int:
    browser.execute_script("document.querySelector('.tile-cell[tabindex=\"0\"]').focus()")
    return int(browser.find_element(By.ID, "grid").get_attribute("aria-colcount"))


def shown(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.ID, "shown").text


def choose(browser: webdriver.Chrome, control: str, value: str) -> None:
    script = """const c = document.getElementById(arguments[0]); c.value = arguments[1];
                c.dispatchEvent(new Event("input", { bubbles: true }));"""
    browser.execute_script(script, control, value)
    browser.execute_async_script("setTimeout(arguments[0], 150)")
    settle(browser)


def test_keyboard_walks_the_whole_grid(grid: webdriver.Chrome) -> None:
    columns = focus_grid(grid)
    assert press(grid, Keys.ARROW_RIGHT) == 1
    assert press(grid, Keys.ARROW_DOWN) == 1 + columns
    assert press(grid, Keys.HOME) == columns
    assert press(grid, Keys.END) == 2 * columns - 1
    assert press(grid, Keys.ARROW_LEFT) == 2 * columns - 2
    assert press(grid, Keys.ARROW_UP) == columns - 2
    assert press(grid, Keys.ARROW_UP) == columns - 2, "up at the top must stay"
    after_page = press(grid, Keys.PAGE_DOWN)
    assert after_page > columns
    assert after_page % columns == columns - 2
    assert press(grid, Keys.PAGE_UP) == columns - 2
    assert press(grid, Keys.CONTROL, Keys.END) == 599
    assert press(grid, Keys.ARROW_RIGHT) == 599, "right at the end must stay"
    assert press(grid, Keys.CONTROL, Keys.HOME) == 0


def test_only_a_screenful_of_rows_exists_and_they_are_numbered(grid: webdriver.Chrome) -> None:
    rows = grid.execute_script("return [...document.querySelectorAll('[role=row]')].map((r) => +r.ariaRowIndex)")
    columns = int(grid.find_element(By.ID, "grid").get_attribute("aria-colcount"))
    assert int(grid.find_element(By.ID, "grid").get_attribute("aria-rowcount")) == -(-600 // columns)
    assert rows == list(range(1, len(rows) + 1))
    assert len(rows) <= 8


def test_focus_survives_scrolling_far_away(grid: webdriver.Chrome) -> None:
    focus_grid(grid)
    press(grid, Keys.ARROW_RIGHT)
    grid.execute_script("document.getElementById('grid').scrollTop = 1e6")
    settle(grid)
    assert place(grid) == 1
    tabbable = grid.execute_script("return document.querySelectorAll('.tile-cell[tabindex=\"0\"]').length")
    assert tabbable == 1


def test_enter_opens_the_details_and_escape_returns_to_the_cell(grid: webdriver.Chrome) -> None:
    focus_grid(grid)
    press(grid, Keys.ARROW_RIGHT)
    press(grid, Keys.ENTER)
    detail = grid.find_element(By.ID, "detail")
    assert detail.is_displayed()
    assert grid.switch_to.active_element.text == "Close"
    assert "a photo of a black dress" in detail.text
    press(grid, Keys.ESCAPE)
    assert not detail.is_displayed()
    assert place(grid) == 1


def test_details_show_the_full_picture_and_fall_back_to_the_tile(grid: webdriver.Chrome) -> None:
    grid.find_element(By.CSS_SELECTOR, '[data-place="0"]').click()
    settle(grid)
    assert grid.execute_script("return document.querySelector('#detail img').naturalWidth") == 128
    focus_grid(grid)
    press(grid, Keys.CONTROL, Keys.END)  # only the first 40 images lie beside this report
    press(grid, Keys.ENTER)
    grid.execute_async_script("setTimeout(arguments[0], 100)")
    assert "not where it was written" in grid.find_element(By.ID, "detail").text


def test_filters_combine_and_clear(grid: webdriver.Chrome) -> None:
    assert shown(grid) == "600 images"
    choose(grid, "product", "dress")
    assert shown(grid) == "60 of 600 images"
    choose(grid, "colour", "red")
    assert shown(grid) == "8 of 600 images"
    choose(grid, "text", "NO SUCH WORD")
    assert shown(grid) == "0 of 600 images"
    assert "No image fits" in grid.find_element(By.ID, "tall").text
    grid.find_element(By.ID, "clear").click()
    settle(grid)
    assert shown(grid) == "600 images"


def test_text_filter_finds_a_prompt_a_sku_and_an_id(grid: webdriver.Chrome) -> None:
    choose(grid, "text", "red DRESS")
    assert shown(grid) == "8 of 600 images"
    choose(grid, "text", "DR-1000")
    assert shown(grid) == "1 of 600 images"
    label = grid.find_element(By.CSS_SELECTOR, '[data-place="0"]').get_attribute("aria-label")
    choose(grid, "text", label.rsplit(" ", 1)[1])
    assert shown(grid) == "1 of 600 images"


def test_sorting_by_a_metric_orders_all_rows_and_puts_missing_values_last(grid: webdriver.Chrome) -> None:
    choose(grid, "sort", "m:garment_margin")
    choose(grid, "direction", "down")
    first = _score(grid, 0)
    focus_grid(grid)
    assert _score(grid, 1) <= first
    focus_grid(grid)
    press(grid, Keys.CONTROL, Keys.END)
    press(grid, Keys.ENTER)
    assert _facts(grid)["garment margin"] == "not scored"


def test_address_carries_the_filters(browser: webdriver.Chrome, report_page: Path) -> None:
    set_screen(browser, 1280, 800)
    visit(browser, report_page.with_name("grid.html"), "outcome=reject")
    count = int(shown(browser).split()[0])
    assert 0 < count < 600
    marks = browser.execute_script(
        "return [...document.querySelectorAll('.tile-cell .mark')].map((m) => m.textContent)"
    )
    assert set(marks) == {"Rejected"}
    choose(browser, "outcome", "failed")
    assert browser.current_url.endswith("#outcome=failed")


def test_letters_do_nothing_in_the_grid(grid: webdriver.Chrome) -> None:
    focus_grid(grid)
    before = (shown(grid), place(grid))
    for letter in "abcdefghijklmnopqrstuvwxyz":
        press(grid, letter)
    assert (shown(grid), place(grid)) == before
    assert not grid.find_element(By.ID, "detail").is_displayed()


def _facts(browser: webdriver.Chrome) -> dict[str, str]:
    script = """return Object.fromEntries([...document.querySelectorAll("#detail dt")]
        .map((name) => [name.textContent, name.nextSibling.textContent]))"""
    return browser.execute_script(script)


def _score(browser: webdriver.Chrome, number: int) -> float:
    browser.find_element(By.CSS_SELECTOR, f'[data-place="{number}"]').click()
    settle(browser)
    value = _facts(browser)["garment margin"]
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    return float(value)
