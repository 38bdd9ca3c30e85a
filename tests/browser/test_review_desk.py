"""A reviewer's morning by keyboard, on a run of the embedded student."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from qcgen.core.reasoncodes import code_of_finding
from qcgen.core.review import Answer, Choice, Decision, Kind, Role, TaskDraft
from qcgen.core.types import Outcome
from qcgen.store.sql import SqlStore, open_store
from tests.browser.chromium import skip_without_chromium
from tests.browser.desk import (
    PHONE,
    Served,
    enter,
    press,
    serving_desk,
    settle,
    shown_task,
    until,
    wait_for_picture,
    window,
)


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Browser:
    return chromium


@pytest.fixture(scope="module")
def made_run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database and the files of 24 pictures by the embedded student; most of them go to people."""
    skip_without_chromium()
    folder = tmp_path_factory.mktemp("morning")
    # A process of its own: here every border with a tensor is checked, which makes a run six times as long.
    command = [sys.executable, "-m", "qcgen.cli.main", "run", str(root / "jobs" / "demo.yaml"), "--limit", "24"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True)
    assert done.returncode in (0, 1), done.stderr.decode()
    store = open_store(f"sqlite:///{folder}/qcgen.db")
    run = store.runs()[0]
    store.review.add_tasks(run.run_id, _drafts(store, run.run_id))
    store.close()
    return folder


def _drafts(store: SqlStore, run_id: str) -> list[TaskDraft]:
    drafts = []
    for place, row in enumerate(store.rows(run_id)):
        assert row.relpath is not None
        assert row.file_sha256 is not None
        code = code_of_finding(row.reasons[0].kind) if row.outcome is Outcome.REVIEW else ("blur", "colour")[place % 2]
        draft = TaskDraft(
            row.image_id, Kind.FLAGGED, row.fields["product"], 1.0, 100 - place, code, row.relpath, row.file_sha256
        )
        drafts.append(draft)
    return drafts


@pytest.fixture
def desk(made_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The run with a database of the test's own, served from the folder where the run was started."""
    shutil.copy(made_run / "qcgen.db", tmp_path / "qcgen.db")
    monkeypatch.chdir(made_run)
    store = open_store(f"sqlite:///{tmp_path}/qcgen.db")
    with serving_desk(store) as served:
        yield served
    store.close()


@pytest.fixture
def page(browser: Browser, desk: Served) -> Iterator[Page]:
    with window(browser) as context:
        yield enter(context, desk)


def standing(store: SqlStore) -> list[Decision]:
    return [one for one in store.review.decisions(None) if not one.withdrawn]


def said(store: SqlStore) -> list[tuple[str, str]]:
    return [(str(one.answer.choice), one.answer.code) for one in standing(store)]


def test_a_whole_walk_needs_one_key_to_accept_and_two_to_reject(page: Page, desk: Served) -> None:
    order = []
    for keys in (("a",), ("r", "1"), (" ",), ("f",), ("s",), ("r", "7")):
        wait_for_picture(page)
        order.append(shown_task(page))
        for key in keys:
            page.keyboard.press(key)
    settle(page)
    assert len(set(order)) == 6
    assert said(desk.store) == [
        ("accept", ""), ("reject", "blur"), ("accept", ""), ("regenerate", ""), ("skip", ""), ("reject", "product"),
    ]  # fmt: skip
    assert [one.answer.task_id for one in standing(desk.store)] == order
    assert all(one.answer.blind for one in standing(desk.store))
    assert all(one.answer.dwell_ms > 0 for one in standing(desk.store))
    total = sum(one.total for one in desk.store.review.progress(None))
    expect(page.locator("#progress-text")).to_have_text(f"5 of {total}")


def test_all_pictures_can_be_judged_without_a_mouse_until_the_desk_says_so(page: Page, desk: Served) -> None:
    pictures = {one.image_id for one in desk.store.review.tasks(None)}
    for _ in pictures:
        press(page, "a")
    settle(page)
    title = page.locator("#empty-title")
    expect(title).to_have_text(re.compile("All done|Nothing is left for you"), timeout=20_000)
    assert {one.image_id for one in standing(desk.store)} == pictures, "each picture once, seeds and audits with them"


def test_undo_goes_back_step_by_step_also_after_a_reload(page: Page, desk: Served) -> None:
    order = []
    for _ in range(4):
        wait_for_picture(page)
        order.append(shown_task(page))
        page.keyboard.press("a")
    settle(page)
    page.keyboard.press("u")
    until(page, f"document.querySelector('#pane img').src.includes('/{order[3]}/')")
    page.reload()
    wait_for_picture(page)
    for place in (2, 1, 0):
        page.keyboard.press("Control+z")
        until(page, f"document.querySelector('#pane img').src.includes('/{order[place]}/')")
    settle(page)
    assert standing(desk.store) == []
    page.keyboard.press("u")
    expect(page.locator("#toast")).to_have_text("There is nothing to take back.")


def test_arrows_move_without_deciding(page: Page, desk: Served) -> None:
    first = shown_task(page)
    press(page, "ArrowRight", "ArrowRight")
    wait_for_picture(page)
    assert shown_task(page) != first
    press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft")
    wait_for_picture(page)
    assert shown_task(page) == first
    assert said(desk.store) == []


def test_accept_counts_only_after_the_picture_has_stood_for_a_moment(browser: Browser, desk: Served) -> None:
    with window(browser) as context:
        page = enter(context, desk, patient=True)
        page.wait_for_timeout(500)
        page.keyboard.press("a")
        # Held or hammered, the key does not accept what nobody can have seen.
        for _ in range(5):
            page.keyboard.press("a")
        settle(page)
        assert len(said(desk.store)) == 1
        expect(page.locator("#toast")).to_contain_text("Look first")
        page.wait_for_timeout(500)
        page.keyboard.press("a")
        settle(page)
        assert len(said(desk.store)) == 2


def test_reason_other_asks_for_a_note_and_ctrl_enter_there_rejects(page: Page, desk: Served) -> None:
    press(page, "r")
    page.keyboard.press("9")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("rat in the picture; A R F S U are letters here")
    page.keyboard.press("Control+Enter")
    settle(page)
    (decision,) = standing(desk.store)
    assert (decision.answer.choice, decision.answer.code) == (Choice.REJECT, "other")
    assert decision.answer.note.startswith("rat in the picture")


def test_note_takes_the_keys_and_goes_with_the_answer(page: Page, desk: Served) -> None:
    press(page, "n")
    page.keyboard.type("a s f r")
    page.keyboard.press("Escape")
    assert said(desk.store) == []
    page.keyboard.press("a")
    settle(page)
    assert standing(desk.store)[0].answer.note == "a s f r"


def test_zoom_stays_from_picture_to_picture_and_is_the_same_on_both_sides(page: Page) -> None:
    def place(selector: str) -> list[float]:
        script = "(node) => { const m = new DOMMatrix(getComputedStyle(node).transform); return [m.a, m.e, m.f]; }"
        return page.locator(selector).evaluate(script)

    fit = place("#pane img")
    page.mouse.move(300, 300)
    press(page, "z")
    near = place("#pane img")
    assert near[0] == pytest.approx(3 * fit[0], rel=1e-4)
    press(page, "s")
    wait_for_picture(page)
    assert place("#pane img") == pytest.approx(near, rel=1e-4)
    press(page, "v")
    until(page, "document.querySelector('#second img')?.naturalWidth > 0")
    size = page.evaluate("[...document.querySelectorAll('.pane')].map((pane) => [pane.clientWidth, pane.clientHeight])")
    large, small = place("#pane img"), place("#second img")
    fits = [min(width, height) / 128 for width, height in size]
    assert large[0] / fits[0] == pytest.approx(small[0] / fits[1], rel=1e-4)
    centres = [((side / 2 - at) / scale) for (side, _), (scale, at, _) in zip(size, (large, small), strict=True)]
    assert centres[0] == pytest.approx(centres[1], abs=0.5)
    press(page, "z")
    assert place("#pane img")[0] == pytest.approx(fits[0], rel=1e-4)


def test_flicker_map_and_pixels_can_be_switched_and_the_map_stays(page: Page) -> None:
    own = shown_task(page)
    press(page, "b")
    until(page, "document.querySelector('#pane img').src.includes('/siblings/')")
    press(page, "b")
    until(page, "document.querySelector('#pane img').src.endsWith('/picture')")
    assert shown_task(page) == own
    press(page, "h")
    expect(page.locator("#pane .map")).to_have_count(1)
    expect(page.locator("#lens-says")).not_to_be_empty()
    page.locator("#opacity").fill("30")
    assert page.locator("#pane .map").evaluate("(node) => node.style.opacity") == "0.3"
    page.evaluate("document.activeElement.blur()")
    press(page, "s")
    expect(page.locator("#pane .map")).to_have_count(1)
    press(page, "p")
    assert page.locator("#pane img:not(.map)").evaluate("(n) => getComputedStyle(n).imageRendering") == "pixelated"


def test_next_five_pictures_are_decoded_and_three_are_kept(page: Page) -> None:
    press(page, "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    wait_for_picture(page)
    page.wait_for_load_state("networkidle")
    fetched = page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/picture')).length"
    )
    assert fetched == 1 + 4 + 5
    before = page.evaluate("performance.getEntriesByType('resource').length")
    press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft")
    wait_for_picture(page)
    assert page.evaluate("performance.getEntriesByType('resource').length") == before


def test_findings_are_hidden_when_blind_and_shown_when_not(page: Page, desk: Served) -> None:
    expect(page.locator("#findings")).to_be_hidden()
    press(page, "?")
    page.locator("#set-blind").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator("#findings")).to_be_visible()
    page.keyboard.press("a")
    settle(page)
    assert [one.answer.blind for one in standing(desk.store)] == [False]


def test_findings_can_be_told_after_the_answer(page: Page) -> None:
    press(page, "?")
    page.locator("#set-after").check()
    page.keyboard.press("Escape")
    press(page, "a")
    expect(page.locator("#last-body")).to_contain_text("The checks said:")


def test_keys_can_be_changed_and_letters_switched_off(page: Page, desk: Served) -> None:
    press(page, "?")
    page.locator('[data-key="accept"]').click()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    press(page, "a")
    press(page, "j")
    settle(page)
    assert said(desk.store) == [("accept", "")]
    page.reload()
    wait_for_picture(page)
    expect(page.locator('[data-does="accept"] kbd')).to_have_text("J")
    press(page, "?")
    page.locator("#set-letters").uncheck()
    page.keyboard.press("Escape")
    press(page, "j")
    press(page, "r")
    expect(page.locator("#reasons")).to_be_hidden()
    press(page, " ")
    settle(page)
    assert said(desk.store) == [("accept", "")] * 2


def test_bulk_from_the_grid_shows_a_preview_and_is_one_undo(page: Page, desk: Served) -> None:
    press(page, "g")
    expect(page.locator(".cell").first).to_be_focused()
    page.keyboard.press("x")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    expect(page.locator("#picked")).to_have_text("4 selected")
    page.keyboard.press("r")
    expect(page.locator("#confirm-title")).to_have_text("Reject 4 pictures")
    expect(page.locator("#preview img")).to_have_count(4)
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_hidden()
    assert len({one.answer.bulk_id for one in standing(desk.store)}) == 1
    assert [choice for choice, _ in said(desk.store)] == ["reject"] * 4
    page.keyboard.press("u")
    expect(page.locator("#toast")).to_have_text("4 answers taken back.")
    assert standing(desk.store) == []


def test_who_lost_the_lease_is_told_that_somebody_was_faster_and_goes_on(page: Page, desk: Served) -> None:
    held, reviews = shown_task(page), desk.store.review
    # The lease runs out behind her back, and somebody else decides.
    reviews.release("ann")
    taken = reviews.lease_tasks("bob", run_id=None, n=24, seconds=600, role=Role.REVIEWER)
    task = next(one for one in taken if one.id == held)
    reviews.decide("bob", [Answer(task.id, task.revision, task.file_sha256, Choice.ACCEPT)])
    reviews.release("bob")
    press(page, "a")
    expect(page.locator("#toast")).to_contain_text("somebody else was faster")
    wait_for_picture(page)
    assert shown_task(page) != held
    assert [one.reviewer for one in standing(desk.store)] == ["bob"]


def test_answers_wait_in_the_tab_while_the_server_is_away(page: Page, desk: Served) -> None:
    page.route("**/api/decide", lambda route: route.abort())
    press(page, "a", "a")
    expect(page.locator("#outbox-banner")).to_contain_text("2 of your answers wait in this tab")
    assert said(desk.store) == []
    page.unroute("**/api/decide")
    expect(page.locator("#outbox-banner")).to_be_hidden()
    settle(page)
    assert len(said(desk.store)) == 2


def test_phone_needs_no_sideways_scrolling_and_buttons_are_large(browser: Browser, desk: Served) -> None:
    with window(browser, PHONE, has_touch=True, is_mobile=True) as context:
        page = enter(context, desk)
        for path in ("/", "/grid"):
            page.goto(desk.address + path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        page.goto(desk.address)
        wait_for_picture(page)
        sizes = page.locator(".actions .button:visible").evaluate_all("(all) => all.map((n) => n.offsetHeight)")
        assert len(sizes) == 5
        assert min(sizes) >= 44
        page.tap('[data-does="reject"]')
        page.tap("#reason-list button:nth-child(3)")
        settle(page)
        assert said(desk.store) == [("reject", "colour")]
