"""kill -9 and a full disk: what was acknowledged stays, what was not leaves nothing behind."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from qcgen.core.errors import PausedError
from qcgen.store import admin
from qcgen.store.sql import SqlStore, open_store
from tests.store.build import run_info, shards, whole_shard

ROUNDS = 12
PLANNED, SIZE = 20_000, 5

WRITER = """
import runpy, sys
from qcgen.store.sql import open_store

build = runpy.run_path("tests/store/build.py")
planned, size = int(sys.argv[2]), int(sys.argv[3])
store = open_store(sys.argv[1])
store.start_run(build["run_info"](planned=planned), build["shards"](planned, size))
print("ready", flush=True)
while (leased := store.lease("run-1", "writer", seconds=3600)) is not None:
    if store.record("run-1", *leased, build["whole_shard"](leased[0], metrics=12)):
        print(leased[0].number, flush=True)
"""


def test_a_killed_writer_loses_no_acknowledged_shard(sqlite_url: str, root: Path) -> None:
    generator = random.Random(1)
    acknowledged: set[int] = set()
    torn = 0
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, sqlite_url, str(PLANNED), str(SIZE)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # Long enough for some shards, a random point within one.
        time.sleep(generator.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        acknowledged |= {int(line) for line in process.stdout.read().split("\n")[:-1]}
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        torn += _journal_is_hot(sqlite_url)
        assert admin.check(sqlite_url) == ()
        store = open_store(sqlite_url)
        done = store.done_shards("run-1")
        # The last shard may have been committed just before its number could be printed.
        assert acknowledged <= done
        assert len(done - acknowledged) <= 1
        acknowledged = set(done)
        indices = [row.item_index for row in store.rows("run-1")]
        store.close()
        assert indices == sorted(index for number in done for index in range(number * SIZE, (number + 1) * SIZE))
    assert 0 < len(acknowledged) < PLANNED // SIZE, "every kill must hit a writer at work"
    print(f"{len(acknowledged)} shards acknowledged, {torn} kills left a journal to roll back")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_pauses_the_run_and_it_resumes_when_there_is_room(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 2**20)
    store = open_store(f"sqlite:///{small_disk / 'qcgen.db'}")
    done = _write_until_full(store)
    filler.unlink()
    _resume_and_check(store, done, more=5)
    assert admin.check(f"sqlite:///{small_disk / 'qcgen.db'}") == ()


def test_a_database_that_may_not_grow_pauses_the_run_and_it_resumes(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    limit = [150]
    event.listen(
        store.database.engine, "connect", lambda raw, record: raw.execute(f"PRAGMA max_page_count = {limit[0]}").close()
    )
    store.close()
    done = _write_until_full(store)
    limit[0] = 10_000
    store.close()
    _resume_and_check(store, done, more=5)
    assert admin.check(sqlite_url) == ()


def test_an_upgrade_on_a_full_disk_says_so(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * (2**21 - 2**15))
    # With a rollback journal SQLite says "full"; in WAL mode it cannot map the shared memory and says "I/O error".
    with pytest.raises(PausedError, match=r"Cure: (free space|check the disk)"):
        open_store(f"sqlite:///{small_disk / 'qcgen.db'}")
    os.unlink(small_disk / "filler")
    open_store(f"sqlite:///{small_disk / 'qcgen.db'}").close()


def _write_until_full(store: SqlStore) -> list[int]:
    """Record shards until the disk is full; returns those that were acknowledged."""
    store.start_run(run_info(planned=5_000), shards(5_000, 20))
    done: list[int] = []

    def write() -> None:
        while (leased := store.lease("run-1", "me", seconds=60)) is not None:
            assert store.record("run-1", *leased, whole_shard(leased[0], metrics=12))
            done.append(leased[0].number)

    with pytest.raises(PausedError, match=r"full.*Cure: free space"):
        write()
    assert done
    assert store.done_shards("run-1") == set(done)
    return done


def _resume_and_check(store: SqlStore, done: list[int], *, more: int) -> None:
    store.start_run(run_info(planned=5_000), shards(5_000, 20))
    for _ in range(more):
        leased = store.lease("run-1", "me", seconds=60)
        assert leased is not None
        assert store.record("run-1", *leased, whole_shard(leased[0], metrics=12))
        done.append(leased[0].number)
    assert store.done_shards("run-1") == set(done)
    assert sum(1 for _ in store.rows("run-1")) == 20 * len(done)
    store.close()


def _journal_is_hot(url: str) -> bool:
    journal = Path(url.removeprefix("sqlite:///") + "-journal")
    return journal.exists() and journal.stat().st_size > 0
