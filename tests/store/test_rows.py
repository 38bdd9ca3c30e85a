"""What is recorded comes back whole: attempts, scores, verdicts and their history."""

import math
from dataclasses import replace

import pytest
from sqlalchemy import event, select

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Lineage, Outcome, Produced, Score, Severity, Shard, Verdict
from qcgen.store import read, schema
from qcgen.store.sql import SqlStore
from tests.store.build import CARD, NEW_POLICY, POLICY, blur, produced, run_info, shards, whole_shard


def test_a_row_has_everything_that_was_recorded(store: SqlStore) -> None:
    given = produced(0, reasons=(blur(), replace(blur(), kind="cast", severity=Severity.WARN, value=None, evidence={})))
    _record(store, [given])
    (row,) = store.rows("run-1")
    assert given.image is not None
    assert (row.item_index, row.image_id, row.sku, row.prompt) == (0, given.item.id, given.item.sku, given.item.prompt)
    assert (row.fields, row.seed, row.attempt, row.current) == (given.item.fields, given.item.seed, 1, True)
    assert (row.outcome, row.reasons, row.joint_p) == (Outcome.ACCEPT, given.verdict.reasons, 0.25)
    assert (row.relpath, row.file_sha256, row.bytes) == (given.image.relpath, given.image.sha256, given.image.bytes)
    assert (row.width, row.height, row.gen_s, row.thumbnail) == (64, 48, 0.125, b"RIFF")
    assert row.measures == {"detector_0": 0.0, "detector_1": 0.0625, "detector_2": 0.125}
    assert row.unscored == {"colour": "no_foreground"}
    assert (row.decision, row.error) == (None, None)


def test_a_failed_item_is_a_row_without_an_image(store: SqlStore) -> None:
    _record(store, [produced(0, outcome=Outcome.FAILED)])
    (row,) = store.rows("run-1")
    assert (row.outcome, row.error, row.relpath, row.file_sha256, row.thumbnail) == ("failed", "nan", None, None, None)
    assert store.hashes("run-1") == ()


@pytest.mark.parametrize(
    ("outcomes", "stands"),
    [
        ([Outcome.REJECT, Outcome.ACCEPT], 2),
        ([Outcome.REJECT, Outcome.REJECT, Outcome.REJECT], 3),
        ([Outcome.REVIEW, Outcome.REJECT], 1),
        ([Outcome.REJECT, Outcome.FAILED], 1),
    ],
)
def test_the_best_attempt_stands_and_of_equals_the_latest(
    store: SqlStore, outcomes: list[Outcome], stands: int
) -> None:
    _record(store, [produced(0, number, outcome=outcome) for number, outcome in enumerate(outcomes, 1)])
    assert [row.attempt for row in store.rows("run-1")] == [stands]
    every = list(store.rows("run-1", every_attempt=True))
    assert [(row.attempt, row.current) for row in every] == [(n, n == stands) for n in range(1, len(outcomes) + 1)]


def test_rows_come_in_item_order_however_they_were_recorded(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    leases = [store.lease("run-1", "me", seconds=60) for _ in range(2)]
    for leased in reversed(leases):
        assert leased is not None
        shard, token = leased
        given = [produced(i, n, outcome=Outcome.REJECT) for i in range(shard.start, shard.stop) for n in (2, 1)]
        assert store.record("run-1", shard, token, given)
    places = [(row.item_index, row.attempt) for row in store.rows("run-1", every_attempt=True)]
    assert places == [(index, attempt) for index in range(8) for attempt in (1, 2)]
    ids = [produced(index, attempt).item.id for index, attempt in places]
    assert [image_id for image_id, _, _ in store.hashes("run-1")] == ids


def test_rows_do_not_ask_the_database_once_per_image(memory: SqlStore) -> None:
    planned = read.PAGE + 10
    shard = Shard(0, 0, planned)
    _record(memory, whole_shard(shard), shard)
    statements: list[str] = []
    event.listen(memory.database.engine, "after_cursor_execute", lambda c, cursor, text, *rest: statements.append(text))
    assert sum(1 for _ in memory.rows("run-1")) == planned
    # BEGIN is counted here as well; two pages of seven statements each, and one to spare.
    assert len(statements) <= 2 * 9


def test_pages_join_without_a_gap_or_a_repeat(memory: SqlStore) -> None:
    shard = Shard(0, 0, 7)
    _record(memory, [produced(i, n, outcome=Outcome.REJECT) for i in range(7) for n in (1, 2, 3)], shard)
    found, after = [], read.FIRST
    while True:
        with memory.database.read() as connection:
            page = read.page(connection, 1, after=after, every_attempt=True, limit=4)
        if not page:
            break
        found += [(row.item_index, row.attempt) for row in page]
        after = found[-1]
    assert found == [(i, n) for i in range(7) for n in (1, 2, 3)]


def test_a_slow_reader_does_not_hold_a_writer_off(store: SqlStore) -> None:
    _record(store, [produced(0), produced(1)], Shard(0, 0, 2))
    reader = store.rows("run-1")
    next(reader)
    store.audit("run-1", "note", {"while": "reading"})
    assert len(list(reader)) == 1


def test_rejudging_keeps_the_old_verdict_and_shows_the_new(store: SqlStore) -> None:
    _record(store, [produced(0, reasons=(blur(),)), produced(1)], Shard(0, 0, 2))
    new = Verdict(Outcome.REJECT, (replace(blur(), kind="noise"),), 0.01, NEW_POLICY)
    store.rejudge("run-1", [(produced(0).item.id, new)], NEW_POLICY)
    first, second = store.rows("run-1")
    assert (first.outcome, first.reasons, first.joint_p) == (Outcome.REJECT, new.reasons, 0.01)
    assert second.outcome is Outcome.ACCEPT
    run = store.run("run-1")
    assert run is not None
    assert run.policy_sha256 == NEW_POLICY
    with store.database.read() as connection:
        query = select(schema.verdict.c.number, schema.verdict.c.outcome, schema.policy.c.sha256).join(schema.policy)
        history = connection.execute(query.where(schema.verdict.c.attempt_id == 1).order_by(schema.verdict.c.number))
        assert [tuple(row) for row in history] == [(1, "accept", POLICY), (2, "reject", NEW_POLICY)]
        kinds = connection.execute(select(schema.finding.c.kind).order_by(schema.finding.c.verdict))
        assert list(kinds.scalars()) == ["blur", "noise"]


def test_rejudging_moves_the_standing_attempt(store: SqlStore) -> None:
    _record(store, [produced(0, 1, outcome=Outcome.REJECT), produced(0, 2, outcome=Outcome.REJECT)])
    assert [row.attempt for row in store.rows("run-1")] == [2]
    accept = Verdict(Outcome.ACCEPT, (), 0.5, NEW_POLICY)
    store.rejudge("run-1", [(produced(0, 1).item.id, accept)], NEW_POLICY)
    assert [row.attempt for row in store.rows("run-1")] == [1]


def test_rejudging_an_unknown_image_changes_nothing(store: SqlStore) -> None:
    _record(store, [produced(0)])
    reject = Verdict(Outcome.REJECT, (), None, NEW_POLICY)
    with pytest.raises(IntegrityError, match="ghost"):
        store.rejudge("run-1", [(produced(0).item.id, reject), ("ghost", reject)], NEW_POLICY)
    assert [row.outcome for row in store.rows("run-1")] == [Outcome.ACCEPT]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_and_nothing_is_written(store: SqlStore, value: float) -> None:
    store.start_run(run_info(), shards(2, 2))
    leased = store.lease("run-1", "me", seconds=60)
    assert leased is not None
    bad = replace(produced(1), measures=(Score("blur", 1, value),))
    with pytest.raises(IntegrityError, match="Unscored"):
        store.record("run-1", leased[0], leased[1], [produced(0), bad])
    assert list(store.rows("run-1")) == []
    assert store.record("run-1", leased[0], leased[1], [produced(0), produced(1)])


def test_the_same_image_twice_in_a_run_is_refused(store: SqlStore) -> None:
    store.start_run(run_info(), shards(2, 2))
    leased = store.lease("run-1", "me", seconds=60)
    assert leased is not None
    twin = replace(produced(1), item=replace(produced(1).item, id=produced(0).item.id))
    with pytest.raises(IntegrityError, match="contradict"):
        store.record("run-1", leased[0], leased[1], [produced(0), twin])
    assert store.done_shards("run-1") == frozenset()


def test_two_runs_with_the_same_images_do_not_meet(store: SqlStore) -> None:
    for run_id in ("run-1", "run-2"):
        store.start_run(run_info(run_id), shards(1, 1))
        leased = store.lease(run_id, "me", seconds=60)
        assert leased is not None
        assert store.record(run_id, leased[0], leased[1], [produced(0)])
    store.rejudge("run-2", [(produced(0).item.id, Verdict(Outcome.REJECT, (), None, POLICY))], POLICY)
    assert [row.outcome for row in store.rows("run-1")] == [Outcome.ACCEPT]
    assert [row.outcome for row in store.rows("run-2")] == [Outcome.REJECT]


def test_a_models_card_is_kept_with_its_lineage(store: SqlStore) -> None:
    store.start_run(run_info(), shards(1, 1))
    store.register_model("d" * 64, CARD)
    store.register_model("d" * 64, CARD)
    with store.database.read() as connection:
        assert connection.execute(select(schema.model.c.name, schema.model.c.declared)).all() == [("apparel", 1)]
        lineage = schema.model_lineage.c
        edges = connection.execute(select(lineage.relation, lineage.parent).order_by(lineage.relation)).all()
        assert [tuple(edge) for edge in edges] == [("distilled_from", "apparel-teacher"), ("trained_on", "clothing128")]
        licences = connection.execute(select(schema.licence.c.name).order_by(schema.licence.c.name)).scalars()
        assert list(licences) == ["Apache-2.0", "CC0-1.0"]
    assert store.card("d" * 64) == CARD
    assert store.card("e" * 64) is None


def test_a_card_that_changed_replaces_the_one_before_and_the_same_one_is_no_event(store: SqlStore) -> None:
    store.start_run(run_info(), shards(1, 1))
    assert store.card("d" * 64) is None
    closed = replace(CARD, licence=None, lineage=(Lineage("trained_on", "own photos", "proprietary", "f" * 64),))
    for card in (CARD, CARD, closed, replace(closed, measures={"fid": 1.0})):
        store.register_model("d" * 64, card)
    assert store.card("d" * 64) == replace(closed, lineage=(replace(closed.lineage[0], digest=None),))
    with store.database.read() as connection:
        told = select(schema.audit_event.c.body).where(schema.audit_event.c.action == "model.register")
        assert len(connection.execute(told).all()) == 2


def _record(store: SqlStore, given: list[Produced], shard: Shard | None = None) -> None:
    shard = shard or Shard(0, 0, 1)
    store.start_run(run_info(planned=shard.stop), [shard])
    leased = store.lease("run-1", "me", seconds=60)
    assert leased is not None
    assert store.record("run-1", shard, leased[1], given)
