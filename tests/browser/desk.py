"""A review desk that really serves, and a Chromium that looks at it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from starlette.types import ASGIApp

from qcgen.review.app import Setting, make_app
from qcgen.review.server import hosts_of, listen, make_server
from qcgen.review.sessions import Tickets
from qcgen.store.sql import SqlStore
from tests.browser.chromium import FLAGS, find_chromium, skip_without_chromium

# An empty page has no storage, and says so by an error.
AT_ONCE = """
if (location.protocol === "http:" && !localStorage.getItem("qcgen-settings"))
  localStorage.setItem("qcgen-settings", '{"minimumMs": 0}');
"""
DESKTOP, PHONE = (1280, 800), (390, 844)


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Closed before the next module: Playwright's event loop would stand in the way of others in this thread."""
    skip_without_chromium()
    found = find_chromium()
    assert found is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A desk on a port of its own."""

    address: str
    links: Tickets
    store: SqlStore

    def link(self, name: str = "ann") -> str:
        return f"{self.address}/login#ticket={self.links.issue(name)}"


@contextmanager
def serving(app: ASGIApp, port_holder: list[int]) -> Iterator[str]:
    """The address while it serves; `port_holder` gets the port before the app sees its first request."""
    started = threading.Event()
    with listen("127.0.0.1", 0) as bound:
        port_holder.append(bound.getsockname()[1])
        server = make_server(app, started=started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        assert started.wait(30)
        try:
            yield f"http://127.0.0.1:{port_holder[0]}"
        finally:
            server.should_exit = True
            thread.join(30)


@contextmanager
def serving_desk(store: SqlStore, *, local: str | None = "ann") -> Iterator[Served]:
    links = Tickets()
    setting = Setting(run_id=None, title="nightly", hosts=hosts_of("127.0.0.1", []), local=local)
    with serving(make_app(setting, store=store, links=links), []) as address:
        yield Served(address, links, store)


@contextmanager
def window(
    browser: Browser, size: tuple[int, int] = DESKTOP, *, dark: bool = False, **more: Any
) -> Iterator[BrowserContext]:
    """A fresh browser profile; what goes wrong on its pages is raised at the end."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **more
    )
    context.set_default_timeout(15_000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(f"{error.error.message}\n{error.error.stack}"))
    try:
        yield context
        assert wrong == []
    finally:
        context.close()


def enter(context: BrowserContext, desk: Served, name: str = "ann", *, patient: bool = False) -> Page:
    """Log in by a link and wait for the first picture. Unless `patient`, an accept counts at once."""
    if not patient:
        context.add_init_script(AT_ONCE)
    page = context.new_page()
    page.goto(desk.link(name))
    page.wait_for_url(f"{desk.address}/")
    wait_for_picture(page)
    return page


def log_in(page: Page, desk: Served, name: str, password: str) -> None:
    """By the form, which stands at every address for those who are not logged in."""
    page.goto(desk.address)
    page.fill("#name", name)
    page.fill("#password", password)
    page.keyboard.press("Enter")
    page.wait_for_selector("body:not(.login)")


def until(page: Page, expression: str, seconds: float = 15.0) -> None:
    """Asks again and again; Playwright's own waiting would call `eval`, which the page's content policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never came true: {expression}"
        page.wait_for_timeout(20)


def wait_for_picture(page: Page) -> None:
    until(page, "document.querySelector('#pane img')?.naturalWidth > 0")
    # Two frames later it has been painted, and an answer counts.
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))))"
    )


def shown_task(page: Page) -> int:
    """The number of the task whose picture stands in the large pane."""
    source = page.locator("#pane img:not(.map)").get_attribute("src")
    assert source is not None
    return int(source.split("/")[3])


def press(page: Page, *keys: str) -> None:
    """Press keys one after the other, each when the picture before has been painted."""
    for key in keys:
        wait_for_picture(page)
        page.keyboard.press(key)


def settle(page: Page) -> None:
    """Wait until the server has every answer."""
    until(page, "window.qcgen.outbox.count() === 0")
    page.wait_for_load_state("networkidle")
