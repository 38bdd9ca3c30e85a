"""A headless Chromium that stays off the network, and what tests ask of it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


def find_chromium() -> tuple[str, str] | None:
    """Browser and driver, None where one is missing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def skip_without_chromium() -> None:
    """Skips, loudly; on a machine that checks for others (`CI` is set) it fails instead: nobody reads skips there."""
    if find_chromium() is None:
        told = "chromium and chromedriver are missing: apt-get install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    found = find_chromium()
    if found is None:
        raise RuntimeError("chromium and chromedriver are missing. Cure: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(found[1]))
    try:
        browser.set_script_timeout(60)
        yield browser
    finally:
        browser.quit()


def set_screen(browser: webdriver.Chrome, width: int, height: int, *, dark: bool = False) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def visit(browser: webdriver.Chrome, page: Path, fragment: str = "") -> None:
    """Open a page from disk, afresh even if only the fragment differs, and wait for two frames."""
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(page.as_uri() + (f"#{fragment}" if fragment else ""))
    settle(browser)


def settle(browser: WebDriver) -> None:
    wait = "const done = arguments[0]; setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 20);"
    browser.execute_async_script(wait)


def open_seconds(browser: WebDriver, address: str) -> float:
    """From the start of navigation to the first frame after loading, by the page's own clock."""
    browser.get("about:blank")
    browser.get(address)
    return round(browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const paint = performance.getEntriesByName('first-contentful-paint')[0];"
        "const load = performance.getEntriesByType('navigation')[0].loadEventEnd;"
        "done(Math.max(load, paint ? paint.startTime : performance.now()) / 1000); }));"
    ), 3)  # fmt: skip
