"""Eight reviewers at one database that a batch writes to, and pages of a queue of a million tasks."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from qcgen.core.review import Answer, Choice, Filter, Kind, Role, TaskDraft
from qcgen.store.sql import SqlStore, open_store

REVIEWERS, THINK_S, SECONDS = 8, 0.05, 20.0
SHARD, RATE_PER_S = 64, 32
TASKS = 1_000_000
RUN = "bench"
CODES = ("blur", "noise", "colour", "framing", "background", "part", "product", "text")

# A process of its own, as a night's run is: it shares no interpreter lock with the reviewers.
BATCH = f"""
import sys, time
from tests.store.build import run_info, shards, whole_shard
from qcgen.store.sql import open_store
store = open_store(sys.argv[1])
store.start_run(run_info("night", planned=1_000_000), shards(1_000_000, {SHARD}))
print("ready", flush=True)
started, made = time.monotonic(), 0
while True:
    shard, token = store.lease("night", "batch", seconds=3600)
    store.record("night", shard, token, whole_shard(shard, run_id="night", metrics=12))
    made += {SHARD}
    time.sleep(max(0.0, started + made / {RATE_PER_S} - time.monotonic()))
"""


def main(results: Path) -> None:
    measured = {
        "load_before": round(os.getloadavg()[0], 2),
        "reviewers": _reviewers(),
        "million_tasks": _million(),
        "load_after": round(os.getloadavg()[0], 2),
    }
    (results / "reviewstore.json").write_text(json.dumps(measured, indent=1) + "\n")


def _reviewers() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.db"
        store = _with_tasks(url, 20_000)
        batch = subprocess.Popen([sys.executable, "-c", BATCH, url], stdout=subprocess.PIPE, text=True)
        try:
            assert batch.stdout is not None
            assert batch.stdout.readline() == "ready\n"
            taken, decided = _work_side_by_side(store)
        finally:
            batch.kill()
            batch.wait()
        images = sum(1 for _ in store.rows("night"))
        store.close()
    return {
        "people": REVIEWERS,
        "think_ms": round(THINK_S * 1000),
        "batch_images_per_s": round(images / SECONDS, 1),
        "decisions": len(decided),
        "next_ms": _quantiles(taken),
        "decide_ms": _quantiles(decided),
    }


def _work_side_by_side(store: SqlStore) -> tuple[list[float], list[float]]:
    """Seconds of each lease and of each decision; one store for all, as in the web server."""
    taken: list[float] = []
    decided: list[float] = []
    end = time.monotonic() + SECONDS

    def work(name: str) -> None:
        while time.monotonic() < end:
            started = time.perf_counter()
            (task,) = store.review.lease_tasks(name, run_id=RUN, n=1, seconds=600, role=Role.REVIEWER)
            taken.append(time.perf_counter() - started)
            time.sleep(THINK_S)
            answer = Answer(task.id, task.revision, task.file_sha256, Choice.REJECT, "blur", dwell_ms=50)
            started = time.perf_counter()
            store.review.decide(name, [answer])
            decided.append(time.perf_counter() - started)

    people = [threading.Thread(target=work, args=(f"person-{number}",)) for number in range(REVIEWERS)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    return taken, decided


def _million() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        store = _with_tasks(f"sqlite:///{folder}/bench.db", TASKS)
        desk = store.review
        last = TASKS - 1_000
        asked: dict[str, Callable[[int], object]] = {
            "next_5": lambda n: desk.lease_tasks(f"p{n}", run_id=RUN, n=5, seconds=600, role=Role.REVIEWER),
            "next_5_of_all_runs": lambda n: desk.lease_tasks(
                f"q{n}", run_id=None, n=5, seconds=600, role=Role.REVIEWER
            ),
            "next_5_of_a_code": lambda n: desk.lease_tasks(
                f"r{n}", run_id=RUN, n=5, seconds=600, role=Role.REVIEWER, only=Filter(code="part")
            ),
            "page_of_200": lambda n: desk.tasks(RUN, after=n * 4_000),
            "last_page_of_200": lambda n: desk.tasks(RUN, after=last + n),
            "progress": lambda n: desk.progress(RUN),
        }
        found: dict[str, object] = {"tasks": TASKS}
        for name, ask in asked.items():
            times = []
            for n in range(200):
                started = time.perf_counter()
                ask(n)
                times.append(time.perf_counter() - started)
            found[f"{name}_ms"] = _quantiles(times)
        store.close()
    return found


def _with_tasks(url: str, n: int) -> SqlStore:
    from tests.store.build import run_info, shards

    store = open_store(url)
    store.start_run(run_info(RUN, planned=64), shards(64, 64))
    for start in range(0, n, 20_000):
        store.review.add_tasks(RUN, [_draft(number) for number in range(start, min(n, start + 20_000))])
    return store


def _draft(number: int) -> TaskDraft:
    # A mixing multiplication, so that costs come in no order.
    cost = (number * 2_654_435_761 % 2**32) / 2**32
    kind = Kind.AUDIT if number % 20 == 0 else Kind.FLAGGED
    code = CODES[number % len(CODES)]
    return TaskDraft(f"{number:032x}", kind, "dress", 1.0, cost, code, f"images/x/{number}.png", f"{number:064x}")


def _quantiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(seconds)}
    return {name: round(1000 * value, 1) for name, value in named.items()}
