"""Runs, shards, leases: what the pipeline asks of the store, on both databases."""

import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.core.store import Store
from qcgen.core.types import Shard
from qcgen.store.engine import open_database
from qcgen.store.migrate import ensure_current
from qcgen.store.sql import SqlStore, open_store
from tests.store.build import blur, run_info, shards, whole_shard


def test_the_store_keeps_the_protocol(memory: SqlStore) -> None:
    kept: Store = memory
    assert kept.runs() == ()


def test_a_run_comes_back_as_it_was_given(store: SqlStore) -> None:
    assert store.start_run(run_info(), shards(8, 4)) == run_info()
    assert store.run("run-1") == run_info()
    assert store.run("run-2") is None


def test_starting_a_stored_run_attaches_and_keeps_what_is_done(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    shard, token = _lease(store)
    assert store.record("run-1", shard, token, whole_shard(shard))
    store.finish_run("run-1", status="paused", seconds=1.0, seconds_by_stage={}, gates=(), report=None)
    again = store.start_run(run_info(planned=99), shards(99, 4))
    assert (again.status, again.planned, again.ended_at) == ("running", 8, None)
    assert store.done_shards("run-1") == {0}
    assert _lease(store)[0] == Shard(1, 4, 8)


def test_attaching_gives_up_the_leases_of_a_killed_process(store: SqlStore) -> None:
    store.start_run(run_info(), shards(4, 4))
    shard, dead = _lease(store)
    assert store.lease("run-1", "other", seconds=60) is None
    store.start_run(run_info(), shards(4, 4))
    again, token = _lease(store)
    assert (again, token > dead) == (shard, True)
    assert not store.record("run-1", shard, dead, whole_shard(shard))
    assert store.record("run-1", shard, token, whole_shard(shard))


def test_a_lease_that_ran_out_is_given_again_and_its_token_is_stale(url: str) -> None:
    now = [1000.0]
    database = open_database(url)
    ensure_current(database)
    store = SqlStore(database, clock=lambda: now[0])
    store.start_run(run_info(), shards(4, 4))
    shard, stale = _lease(store, seconds=10)
    now[0] += 9
    assert store.lease("run-1", "second", seconds=10) is None
    now[0] += 1
    again, token = _lease(store, seconds=10)
    assert again == shard
    assert not store.record("run-1", shard, stale, whole_shard(shard))
    assert store.done_shards("run-1") == frozenset()
    assert list(store.rows("run-1")) == []
    assert store.record("run-1", shard, token, whole_shard(shard))
    store.close()


def test_a_shard_is_recorded_once(store: SqlStore) -> None:
    store.start_run(run_info(), shards(4, 4))
    shard, token = _lease(store)
    assert store.record("run-1", shard, token, whole_shard(shard))
    assert not store.record("run-1", shard, token, whole_shard(shard))
    assert store.lease("run-1", "me", seconds=60) is None
    assert len(list(store.rows("run-1"))) == 4


@pytest.mark.parametrize("change", ["missing", "alien"])
def test_a_shard_with_other_items_than_its_own_is_refused(store: SqlStore, change: str) -> None:
    store.start_run(run_info(), shards(8, 4))
    shard, token = _lease(store)
    rows = whole_shard(shard)
    wrong = rows[:-1] if change == "missing" else [*rows, *whole_shard(Shard(1, 4, 5))]
    with pytest.raises(IntegrityError, match="items"):
        store.record("run-1", shard, token, wrong)
    assert list(store.rows("run-1")) == []


def test_reopening_a_shard_forgets_its_rows_and_refuses_who_worked_on_it(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    for _ in range(2):
        shard, token = _lease(store)
        assert store.record("run-1", shard, token, whole_shard(shard))
    store.reopen("run-1", 0)
    assert store.done_shards("run-1") == {1}
    assert [row.item_index for row in store.rows("run-1")] == [4, 5, 6, 7]
    shard, token = _lease(store)
    store.reopen("run-1", 0)
    assert not store.record("run-1", shard, token, whole_shard(shard))
    shard, token = _lease(store)
    assert store.record("run-1", shard, token, whole_shard(shard))
    assert len(list(store.rows("run-1"))) == 8


def test_finishing_keeps_seconds_gates_and_report(store: SqlStore) -> None:
    store.start_run(run_info(), shards(4, 4))
    gates = (blur(),)
    done = store.finish_run(
        "run-1", status="done", seconds=12.5, seconds_by_stage={"generate": 10.25}, gates=gates, report="r/index.html"
    )
    assert (done.status, done.seconds, done.seconds_by_stage) == ("done", 12.5, {"generate": 10.25})
    assert (done.gates, done.report) == (gates, "r/index.html")
    assert done.ended_at is not None
    assert store.run("run-1") == done


def test_a_note_adds_to_the_environment_and_stays_over_another_start(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    store.note("run-1", "run.memory", {"batch_cap_decode": "8"})
    store.note("run-1", "run.memory", {"batch_cap_decode": "4"})
    again = store.start_run(run_info(), shards(8, 4))
    assert again.environment == {**run_info().environment, "batch_cap_decode": "4"}


def test_runs_are_found_by_id_prefix_and_name_newest_first(store: SqlStore) -> None:
    for run_id, name in (("aa11", "nightly"), ("aa22", "nightly"), ("bb11", "weekly")):
        store.start_run(run_info(run_id, name=name), shards(4, 4))
    assert [run.run_id for run in store.runs()] == ["bb11", "aa22", "aa11"]
    found = {asked: store.find_run(asked) for asked in ("aa11", "bb", "nightly", "nothing", "", "BB")}
    ids = {asked: run.run_id if run else None for asked, run in found.items()}
    assert ids == {"aa11": "aa11", "bb": "bb11", "nightly": "aa22", "nothing": None, "": None, "BB": None}
    with pytest.raises(SpecError, match="aa11, aa22"):
        store.find_run("aa")


def test_asking_about_an_unknown_run_says_so(store: SqlStore) -> None:
    with pytest.raises(IntegrityError, match="no run ghost"):
        store.lease("ghost", "me", seconds=1)
    with pytest.raises(IntegrityError, match="no run ghost"):
        list(store.rows("ghost"))


def test_four_writers_at_once_record_every_shard_once(url: str) -> None:
    planned, size = 96, 4
    first = open_store(url)
    first.start_run(run_info(planned=planned), shards(planned, size))
    recorded: list[int] = []
    errors: list[BaseException] = []

    def work(name: str) -> None:
        store = open_store(url)
        try:
            while (leased := store.lease("run-1", name, seconds=60)) is not None:
                shard, token = leased
                # Reading inside the loop: a deferred transaction that reads and then writes is what gets "locked".
                store.done_shards("run-1")
                assert store.record("run-1", shard, token, whole_shard(shard))
                recorded.append(shard.number)
        except BaseException as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(f"writer-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(recorded) == list(range(planned // size))
    assert [row.item_index for row in first.rows("run-1")] == list(range(planned))
    first.close()


def _lease(store: SqlStore, *, seconds: float = 60) -> tuple[Shard, int]:
    leased = store.lease("run-1", "me", seconds=seconds)
    assert leased is not None
    return leased


def test_naming_a_report_changes_nothing_else_and_stands_in_the_chain(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    before = store.finish_run("run-1", status="complete", seconds=1.0, seconds_by_stage={}, gates=(), report=None)
    after = store.keep_report("run-1", "reports/run-1/index.html", "e" * 64)
    assert after == replace(before, report="reports/run-1/index.html")
    assert store.chain_problems() == []
    with store.database.read() as connection:
        body = connection.execute(text("select body from audit_event order by seq desc limit 1")).scalar_one()
    assert "e" * 64 in body


def test_what_is_judged_or_reported_later_does_not_move_a_runs_end(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    ended = store.finish_run("run-1", status="complete", seconds=1.0, seconds_by_stage={}, gates=(), report=None)
    time.sleep(0.01)
    again = store.finish_run("run-1", status="complete", seconds=1.0, seconds_by_stage={}, gates=(), report="r")
    assert again.ended_at == ended.ended_at
    assert store.start_run(run_info(), shards(8, 4)).ended_at is None
