"""A headless Chromium that stays off the network, and what tests ask of it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
_FRAMES = "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 20))"


def find_chromium() -> str | None:
    """The browser's path, None where it is missing."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def open_browser() -> Iterator[Browser]:
    found = find_chromium()
    if found is None:
        raise RuntimeError("chromium is missing. Cure: apt-get install chromium")
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def set_screen(page: Page, width: int, height: int, *, dark: bool = False) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if dark else "light")


def visit(page: Page, path: Path, fragment: str = "") -> None:
    """Open a page from disk, afresh even if only the fragment differs, and wait for two frames."""
    page.goto("about:blank")
    page.goto(path.as_uri() + (f"#{fragment}" if fragment else ""))
    settle(page)


def settle(page: Page) -> None:
    page.evaluate(_FRAMES)


def open_seconds(page: Page, address: str) -> float:
    """From the start of navigation to the first frame after loading, by the page's own clock."""
    page.goto("about:blank")
    page.goto(address)
    found: float = page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const paint = performance.getEntriesByName('first-contentful-paint')[0];"
        "const load = performance.getEntriesByType('navigation')[0].loadEventEnd;"
        "done(Math.max(load, paint ? paint.startTime : performance.now()) / 1000); })))"
    )
    return round(found, 3)
