"""Eight reviewers at the desk while a batch is recorded, and one who walks through 100 pictures by keyboard.

The server is the real program in a process of its own; so is the batch. Latencies are those of the reviewers' side,
over HTTP on this machine.
"""

import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np

from qcgen.core.passwords import hash_password
from qcgen.core.review import Choice, Kind, Role, TaskDraft, User
from qcgen.core.types import Finding, Image, Outcome, Severity
from qcgen.store.sql import open_store
from tests.browser.chromium import open_browser
from tests.browser.desk import AT_ONCE, wait_for_picture
from tests.review.making import draw, write_picture
from tests.store.build import produced, run_info, shards, whole_shard

REVIEWERS, SECONDS = 8, 30.0
# Faster than anybody can look, and as a quick person does.
THINK_S = (0.05, 1.0)
PICTURES, SIZE_PX, WALK = 4_000, 512, 100
PASSWORD = "only for this measurement"
OWN = {"sec-fetch-site": "same-origin"}


def main(results: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_desk(folder)
        measured = {
            "machine": _machine(),
            "eight_reviewers": [_measure_team(folder, think_s) for think_s in THINK_S],
            "walk_by_keyboard": [_measure_walk(folder, minimum_ms) for minimum_ms in (400, 0)],
        }
    (results / "reviewdesk.json").write_text(json.dumps(measured, indent=1) + "\n")


def _machine() -> dict[str, object]:
    return {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "python": platform.python_version()}


def _make_desk(folder: Path) -> None:
    """A run of flagged pictures with a task each; 64 different files, as many names."""
    out = folder / "out"
    files = [draw(number, SIZE_PX) for number in range(64)]
    made, drafts = [], []
    for index in range(PICTURES):
        relpath = f"images/{index}.png"
        digest = write_picture(out, relpath, files[index % len(files)])
        reasons = (Finding("blur", Severity.WARN, "blur is 0.4, limit 0.3", 0.4, 0.3),)
        one = produced(index, outcome=Outcome.REVIEW, reasons=reasons, metrics=20, thumbnail=None)
        made.append(replace(one, image=Image(relpath, digest, 1, SIZE_PX, SIZE_PX, digest)))
        drafts.append(TaskDraft(one.item.id, Kind.FLAGGED, "dress", 1.0, float(-index), "blur", relpath, digest))
    store = open_store(f"sqlite:///{folder}/qcgen.db")
    store.start_run(replace(run_info(planned=PICTURES), out_dir=str(out)), shards(PICTURES, PICTURES))
    leased = store.lease("run-1", "maker", seconds=600)
    assert leased is not None
    store.record("run-1", *leased, made)
    store.review.add_tasks("run-1", drafts)
    for number in range(REVIEWERS):
        store.review.add_user(User(f"reviewer-{number}", Role.REVIEWER, hash_password(PASSWORD)))
    store.close()


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "qcgen.cli.main", "review", "run-1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--db", f"sqlite:///{folder}/qcgen.db"], stderr=subprocess.PIPE, text=True, env=_environment()
    )
    assert process.stderr is not None
    try:
        said = "".join(_until(process.stderr, "Ctrl-C"))
        address = re.search(r"http://[0-9.:]+", said)
        assert address is not None, said
        yield address[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _until(lines: Iterator[str], word: str) -> Iterator[str]:
    for line in lines:
        yield line
        if word in line:
            return


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def _measure_team(folder: Path, think_s: float) -> dict[str, object]:
    """Each reviewer takes twelve, fetches each picture, answers, and thinks."""
    decide_s: list[float] = []
    next_s: list[float] = []
    picture_s: list[float] = []
    refused: list[int] = []
    before = _count_decisions(folder)
    with _serving(folder) as address, _batch(folder) as recorded:
        end = time.monotonic() + SECONDS

        def work(number: int) -> None:
            rng = random.Random(number)
            with httpx.Client(base_url=address, headers=OWN, timeout=30) as client:
                login = {"name": f"reviewer-{number}", "password": PASSWORD}
                client.post("/api/login", json=login).raise_for_status()
                while time.monotonic() < end:
                    tasks = _timed(next_s, lambda: client.post("/api/next", json={"n": 12})).json()["tasks"]
                    for task in tasks:
                        path = f"/api/tasks/{task['id']}/picture"
                        _timed(picture_s, lambda path=path: client.get(path)).raise_for_status()
                        answer = _answer(task, rng)
                        said = _timed(decide_s, lambda answer=answer: client.post("/api/decide", json=answer))
                        if said.status_code != 200:
                            refused.append(said.status_code)
                        time.sleep(think_s)
                        if time.monotonic() > end:
                            return

        threads = [threading.Thread(target=work, args=(number,)) for number in range(REVIEWERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stored = _count_decisions(folder) - before
    return {
        "reviewers": REVIEWERS,
        "seconds": SECONDS,
        "think_ms": 1000 * think_s,
        "decide_ms": _quantiles(decide_s),
        "next_twelve_ms": _quantiles(next_s),
        "picture_512_px_ms": _quantiles(picture_s),
        "answers": len(decide_s),
        "stored": stored,
        "refused": len(refused),
        "batch_images_recorded": recorded(),
    }


def _count_decisions(folder: Path) -> int:
    store = open_store(f"sqlite:///{folder}/qcgen.db")
    try:
        return sum(1 for _ in store.review.decisions("run-1"))
    finally:
        store.close()


def _answer(task: dict[str, object], rng: random.Random) -> dict[str, object]:
    choice = rng.choice((Choice.ACCEPT, Choice.ACCEPT, Choice.REJECT))
    seen = {"task": task["id"], "revision": task["revision"], "sha256": task["sha256"]}
    return {**seen, "choice": str(choice), "code": "blur" if choice is Choice.REJECT else "", "dwell_ms": 500}


def _timed(into: list[float], request: Callable[[], httpx.Response]) -> httpx.Response:
    started = time.perf_counter()
    answer = request()
    into.append(time.perf_counter() - started)
    return answer


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    values = 1000 * np.asarray(seconds)
    named = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(values, q)), 1) for name, q in named.items()}


@contextmanager
def _batch(folder: Path) -> Iterator[Callable[[], int]]:
    """A process that records 32 pictures a second into the same database; how many, when it has stopped."""
    command = [sys.executable, "-m", "benchmarks.reviewdesk", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
    assert process.stdout is not None
    process.stdout.readline()
    counted: list[int] = []
    try:
        yield lambda: counted[0]
    finally:
        process.send_signal(signal.SIGTERM)
        counted.append(int(process.communicate(timeout=60)[0] or 0))


def record_batch(folder: Path) -> None:
    """Record shards of 32 until SIGTERM, one a second; then print how many pictures."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    store = open_store(f"sqlite:///{folder}/qcgen.db")
    count = 32 * 6_000
    store.start_run(replace(run_info("run-2", planned=count), out_dir=str(folder / "two")), shards(count, 32))
    print("ready", flush=True)
    done = 0
    while not stop.wait(1.0):
        leased = store.lease("run-2", "batch", seconds=60)
        assert leased is not None
        store.record("run-2", *leased, whole_shard(leased[0], run_id="run-2", metrics=20))
        done += 32
    store.close()
    print(done, flush=True)


def _measure_walk(folder: Path, minimum_ms: int) -> dict[str, object]:
    """One key to accept, two to reject every fifth; the next key as soon as the picture stands and an accept counts."""
    with _serving(folder) as address, open_browser() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.add_init_script(AT_ONCE.replace('"minimumMs": 0', f'"minimumMs": {minimum_ms}'))
        page = context.new_page()
        page.goto(address)
        page.fill("#name", "reviewer-1")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("body.desk")
        wait_for_picture(page)
        keys, started = 0, time.perf_counter()
        for number in range(WALK):
            if number:
                wait_for_picture(page)
            pressed = ("r", "1") if number % 5 == 4 else ("a",)
            if len(pressed) == 1 and minimum_ms:
                page.wait_for_timeout(minimum_ms)
            for key in pressed:
                page.keyboard.press(key)
            keys += len(pressed)
        seconds = time.perf_counter() - started
        page.wait_for_load_state("networkidle")
        painted = page.evaluate("performance.getEntriesByName('next-picture').map((one) => one.duration / 1000)")
        answered = page.locator("#progress-text").text_content()
        context.close()
    return {
        "minimum_display_ms": minimum_ms,
        "pictures": WALK,
        "keys": keys,
        "pictures_a_minute": round(60 * WALK / seconds, 1),
        "key_to_next_picture_painted_ms": _quantiles(painted[1:]),
        "answered": answered,
    }


if __name__ == "__main__":
    record_batch(Path(sys.argv[1]))
