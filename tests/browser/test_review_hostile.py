"""Two hundred payloads in every text that the desk shows: none runs, and none would even without escaping."""

from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment
from markupsafe import Markup
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from qcgen.core.passwords import hash_password
from qcgen.core.review import Answer, Choice, Filter, Kind, Role, TaskDraft, User
from qcgen.core.types import Finding, Image, Outcome, Severity
from qcgen.review import pages
from qcgen.store.sql import SqlStore, open_store
from tests.browser.desk import (
    enter,
    log_in,
    serving,
    serving_desk,
    shown_task,
    until,
    wait_for_picture,
    window,
)
from tests.browser.payloads import FIT
from tests.review.making import RUN as RUN_ID
from tests.review.making import draw, write_picture
from tests.store.build import produced, run_info, shards

PASSWORD = "a long enough password"
BY_ID = "window.qcgen.byId"


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    return chromium


def hostile_store(root: Path) -> SqlStore:
    """One flagged picture for each payload, which stands in its sku, prompt, fields, finding and stratum."""
    out, texts = root / "out", FIT
    digest = write_picture(out, "images/one.png", draw(1))
    made = []
    for index, bad in enumerate(texts):
        found = Finding("blur", Severity.WARN, bad, 0.4, 0.3, {bad: bad})
        one = produced(index, outcome=Outcome.REVIEW, reasons=(found,), thumbnail=None)
        item = replace(one.item, sku=bad, prompt=bad, fields={"colour": bad, bad: bad})
        made.append(replace(one, item=item, image=Image("images/one.png", digest, 1000, 96, 96, digest)))
    store = open_store(f"sqlite:///{root}/qcgen.db")
    store.start_run(replace(run_info(planned=len(made)), out_dir=str(out), name=texts[0]), shards(len(made), len(made)))
    leased = store.lease(RUN_ID, "worker", seconds=60)
    assert leased is not None
    store.record(RUN_ID, *leased, made)
    drafts = [
        TaskDraft(one.item.id, Kind.FLAGGED, one.item.sku, 1.0, 1000 - place, "blur", "images/one.png", digest)
        for place, one in enumerate(made)
    ]
    store.review.add_tasks(RUN_ID, drafts)
    return store


def add_disputes(store: SqlStore) -> None:
    """Two people with payloads for names answer differently, with payloads in their notes."""
    texts = FIT
    half = (len(texts) + 1) // 2  # of an odd number both have the middle one
    flagged = store.review.tasks(None, only=Filter(kind=Kind.FLAGGED), limit=half)
    doubles = [
        TaskDraft(one.image_id, Kind.DOUBLE, one.stratum, 1.0, 1.0, one.code, one.relpath, one.file_sha256)
        for one in flagged
    ]
    store.review.add_tasks(RUN_ID, doubles)
    second = store.review.tasks(None, only=Filter(kind=Kind.DOUBLE), limit=half)
    parties = ((texts[3], flagged, Choice.ACCEPT, texts[:half]), (texts[47], second, Choice.REJECT, texts[-half:]))
    for name, tasks, choice, notes in parties:
        code = "blur" if choice is Choice.REJECT else ""
        said = [
            Answer(one.id, one.revision, one.file_sha256, choice, code, note=bad)
            for one, bad in zip(tasks, notes, strict=True)
        ]
        store.review.decide(name, said)
    store.review.add_user(User(texts[11], Role.ADJUDICATOR, hash_password(PASSWORD)))
    store.review.add_user(User(texts[23], Role.MANAGER, hash_password(PASSWORD)))


def hits(page: Page) -> object:
    return page.evaluate("window.hit ?? 0")


def inert(page: Page) -> bool:
    """Whether no payload became an element or an attribute that could run."""
    return page.evaluate(
        "[...document.querySelectorAll('body *')].every((node) => !['IFRAME', 'OBJECT', 'EMBED', 'MARQUEE', 'BASE']"
        ".includes(node.tagName) && [...node.attributes].every((one) => !one.name.startsWith('on')))"
    )


def test_two_hundred_payloads_are_two_hundred() -> None:
    assert len(set(FIT)) >= 200


def test_no_payload_runs_on_the_desk_or_in_the_grid(browser: Browser, tmp_path: Path) -> None:
    store = hostile_store(tmp_path)
    with serving_desk(store) as desk, window(browser) as context:
        page = enter(context, desk)
        page.evaluate(
            "localStorage.setItem('qcgen-settings', JSON.stringify({minimumMs: 0, blind: false, findingsAfter: true}))"
        )
        page.reload()
        wait_for_picture(page)
        seen = set()
        for _ in FIT:
            seen.add(page.locator("#prompt").text_content())
            before = shown_task(page)
            page.keyboard.press("a")
            until(page, f"!{BY_ID}('empty').hidden || !document.querySelector('#pane img').src.includes('/{before}/')")
            if page.locator("#empty").is_hidden():
                wait_for_picture(page)
        assert seen == set(FIT)
        assert hits(page) == 0
        assert inert(page)
        # The last answers travel after their pictures have gone.
        until(page, "window.qcgen.outbox.count() === 0")
        store.review.undo("ann", run_id=None)
        page.goto(f"{desk.address}/grid")
        expect(page.locator(".cell")).to_have_count(1)
        page.keyboard.press("?")
        expect(page.locator("#reason-help dd")).to_have_count(9)
        assert hits(page) == 0
        assert inert(page)
    store.close()


def test_no_payload_in_names_and_notes_runs_in_disputes_and_statistics(browser: Browser, tmp_path: Path) -> None:
    store, texts = hostile_store(tmp_path), FIT
    add_disputes(store)
    with serving_desk(store, local=None) as desk, window(browser) as context:
        page = context.new_page()
        log_in(page, desk, texts[11], PASSWORD)
        page.evaluate("localStorage.setItem('qcgen-settings', JSON.stringify({minimumMs: 0}))")
        page.goto(f"{desk.address}/disputes")
        notes = set()
        for left in reversed(range((len(texts) + 1) // 2)):
            wait_for_picture(page)
            before = shown_task(page)
            page.keyboard.press("a")
            until(page, "window.qcgen.outbox.count() === 0")
            notes |= set(page.locator("#last-body li").all_text_contents())
            page.keyboard.press("ArrowRight")
            if left:
                # An answer that came before the next picture is up would not count.
                until(page, f"!document.querySelector('#pane img').src.includes('/{before}/')")
        assert [bad for bad in texts if not any(bad.strip() in note for note in notes)] == []
        assert hits(page) == 0
        assert inert(page)
        page.click("#log-out")
        page.wait_for_selector("body.login")
        log_in(page, desk, texts[23], PASSWORD)
        page.goto(f"{desk.address}/statistics")
        shown = page.locator("th.name").all_text_contents()
        assert {texts[3], texts[47]} <= set(shown)
        assert hits(page) == 0
        assert inert(page)
    store.close()


@pytest.mark.parametrize("page_name", ["DESK", "GRID", "STATISTICS", "LOGIN"])
def test_content_policy_alone_stops_them_all(browser: Browser, page_name: str) -> None:
    """The same page with its escaping switched off: a double of the template, never of the policy."""
    page_of: pages.Page = getattr(pages, page_name)
    template = pages.Page("raw.html.j2", page_of.styles, page_of.scripts)

    async def with_policy(request: Request) -> Response:
        return raw(template)

    async def without(request: Request) -> Response:
        return HTMLResponse(raw(template).body)

    routes = [Route("/with", with_policy), Route("/without", without)]
    with serving(Starlette(routes=routes), []) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/with")
        page.evaluate("document.querySelectorAll('#link').forEach((link) => link.click())")
        page.wait_for_timeout(300)
        assert hits(page) == 0
        page.goto(f"{address}/without")
        page.wait_for_timeout(300)
        assert hits(page) > 20, "the payloads do run where no policy stands in their way"


def raw(template: pages.Page) -> Response:
    styles = [Markup(pages.read_asset(name)) for name in template.styles]
    scripts = [Markup(pages.read_asset(name)) for name in template.scripts]
    source = (
        "<!doctype html><title>x</title>{% for one in styles %}<style>{{ one }}</style>{% endfor %}"
        "<body>{% for bad in texts %}<div>{{ bad }}</div>{% endfor %}"
    )
    # What starts another document would hide the texts after it.
    shown = [one for one in FIT if "refresh" not in one and "<base" not in one]
    made = Environment(loader=DictLoader({"raw.html.j2": source}), autoescape=False)
    html = made.get_template("raw.html.j2").render(styles=styles, scripts=scripts, texts=shown)
    return HTMLResponse(html, headers={"content-security-policy": pages.policy(styles, scripts)})
