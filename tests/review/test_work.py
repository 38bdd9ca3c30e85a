"""The queue over HTTP: blind views, answers, conflicts, undo, bulk, disputes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from qcgen.core.review import Choice, Filter, Kind, Role, State
from qcgen.store.sql import SqlStore
from tests.review.conftest import LogIn

Json = dict[str, Any]
TELLTALE = ("kind", "code", "stratum", "cost", "inclusion_p", "image_id", "source_id", "relpath", "findings", "attempt")


def take(client: TestClient, n: int = 12, **more: object) -> list[Json]:
    answer = client.post("/api/next", json={"n": n, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["tasks"]


def said(task: Mapping[str, Any], choice: str = "accept", **more: object) -> Json:
    code = "blur" if choice == "reject" else ""
    seen = {"task": task["id"], "revision": task["revision"], "sha256": task["sha256"]}
    return {**seen, "choice": choice, "code": code, "dwell_ms": 700, **more}


def kinds(store: SqlStore, tasks: list[Json]) -> list[Kind]:
    found = [store.review.task(one["id"]) for one in tasks]
    return [one.kind for one in found if one is not None]


def test_blind_views_of_all_kinds_have_the_same_keys_and_none_that_tells(ann: TestClient, store: SqlStore) -> None:
    tasks = take(ann, 50)
    assert set(kinds(store, tasks)) >= {Kind.FLAGGED, Kind.AUDIT, Kind.SEED}
    assert len({tuple(sorted(one)) for one in tasks}) == 1
    assert not set(TELLTALE) & set(tasks[0])
    assert all(one["prompt"] and one["sku"] and one["fields"] for one in tasks), "a seed shows its source's prompt"


def test_without_blindness_only_flagged_ones_show_findings(ann: TestClient, store: SqlStore) -> None:
    tasks = take(ann, 50, blind=False)
    shown = {kind for kind, one in zip(kinds(store, tasks), tasks, strict=True) if "findings" in one}
    assert shown == {Kind.FLAGGED}


def test_an_answer_is_blind_only_if_no_finding_was_sent_before(ann: TestClient, store: SqlStore) -> None:
    first, second = take(ann, 2, blind=True)
    take(ann, 2, blind=True)
    ann.post("/api/decide", json=said(first))
    (again,) = take(ann, 1, blind=False)
    assert again["id"] == second["id"]
    ann.post("/api/decide", json=said(second, blind=True))
    assert [one.answer.blind for one in store.review.decisions(None)] == [True, False]


def test_an_answer_is_stored_with_what_was_on_the_screen(ann: TestClient, store: SqlStore) -> None:
    task = take(ann, 1)[0]
    answer = ann.post("/api/decide", json=said(task, "reject", note="  folded sleeve ü\n", code="part"))
    assert answer.status_code == 200
    assert answer.json()["findings"][0]["message"]
    (decision,) = store.review.decisions(None)
    assert (decision.reviewer, decision.answer.choice, decision.answer.code) == ("ann", Choice.REJECT, "part")
    assert decision.answer.note == "  folded sleeve ü\n"
    assert decision.answer.image_sha256 == task["sha256"]
    assert decision.answer.dwell_ms == 700
    assert decision.answer.ui


@pytest.mark.parametrize(
    "change",
    [{"choice": "reject", "code": ""}, {"choice": "reject", "code": "nonsense"}, {"note": "x" * 2001}, {"note": "a\0b"},
     {"choice": "maybe"}, {"dwell_ms": -1}, {"dwell_ms": 1.5}, {"task": "1"}, {"task": 10**30}, {"revision": None},
     {"sha256": "x"}, {"more": 1}, {"choice": "reject", "code": "other", "note": " "}, {"note": "\ud800"}],
)  # fmt: skip
def test_an_answer_with_a_mistake_is_refused_without_an_echo(ann: TestClient, store: SqlStore, change: Json) -> None:
    body = json.dumps({**said(take(ann, 1)[0]), **change})
    answer = ann.post("/api/decide", content=body.encode())
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "message"}
    assert "nonsense" not in answer.text
    assert not list(store.review.decisions(None))


def test_a_seed_is_never_given_away_by_what_is_told_afterwards(ann: TestClient, store: SqlStore) -> None:
    tasks = take(ann, 50)
    told = {}
    for kind, task in zip(kinds(store, tasks), tasks, strict=True):
        told[kind] = ann.post("/api/decide", json=said(task)).json()
    assert told[Kind.SEED] == told[Kind.AUDIT]


def test_second_person_on_a_leased_picture_gets_409_and_nothing_is_stored(log_in: LogIn, store: SqlStore) -> None:
    ada, bob = log_in("ada"), log_in("bob")
    task = take(ada, 1)[0]
    answer = bob.post("/api/decide", json=said(task))
    assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    assert not list(store.review.decisions(None))
    assert task["id"] not in {one["id"] for one in take(bob, 50)}


def test_an_old_revision_and_another_file_get_409(ann: TestClient) -> None:
    task = take(ann, 1)[0]
    assert ann.post("/api/decide", json=said({**task, "revision": 99})).status_code == 409
    assert ann.post("/api/decide", json=said({**task, "sha256": "0" * 64})).status_code == 409


def test_all_answers_are_taken_back_one_by_one_also_by_a_new_browser(log_in: LogIn, store: SqlStore) -> None:
    ada = log_in("ada")
    for _ in range(3):
        for task in take(ada, 50):
            ada.post("/api/decide", json=said(task, "skip" if task["id"] % 7 == 0 else "accept"))
    made = list(store.review.decisions(None))
    undone, again = 0, log_in("ada")
    while (answer := again.post("/api/undo", json={}).json())["count"]:
        undone += answer["count"]
    assert undone == len(made) >= 14
    assert all(one.state is State.OPEN for one in store.review.tasks(None))


def test_bulk_gives_each_its_own_row_one_number_and_one_undo(ann: TestClient, store: SqlStore) -> None:
    groups = ann.get("/api/groups").json()["groups"]
    code = max(groups, key=lambda one: one["open"])["code"]
    cells = ann.post("/api/group", json={"code": code}).json()["cells"]
    seen = [{"task": one["id"], "revision": one["revision"], "sha256": one["sha256"]} for one in cells]
    answer = ann.post("/api/bulk", json={"tasks": seen, "choice": "reject", "code": "blur"})
    assert answer.json()["count"] == len(cells) >= 3
    made = list(store.review.decisions(None))
    assert len({one.answer.bulk_id for one in made}) == 1
    assert made[0].answer.bulk_id
    assert not any(one.answer.blind for one in made)
    assert ann.post("/api/undo", json={}).json()["count"] == len(cells)
    assert ann.get("/api/progress").json()["done"] == 0


def bulk(store: SqlStore, *wanted: Kind) -> list[Json]:
    found = [one for kind in wanted for one in store.review.tasks(None, only=Filter(kind=kind))[:1]]
    return [{"task": one.id, "revision": one.revision, "sha256": one.file_sha256} for one in found]


@pytest.mark.parametrize("kind", [Kind.AUDIT, Kind.SEED, Kind.DOUBLE])
def test_bulk_takes_nothing_that_is_there_to_be_looked_at(ann: TestClient, store: SqlStore, kind: Kind) -> None:
    for choice in ("accept", "reject"):
        answer = ann.post("/api/bulk", json={"tasks": bulk(store, kind), "choice": choice, "code": "blur"})
        assert (answer.status_code, answer.json()["error"]) == (422, "mixed")
    assert not list(store.review.decisions(None))


def test_bulk_above_fifty_must_be_typed(ann: TestClient) -> None:
    tasks = [{"task": number, "revision": 0, "sha256": "0" * 64} for number in range(1, 52)]
    for typed in (None, 50, 52):
        answer = ann.post("/api/bulk", json={"tasks": tasks, "choice": "accept", "typed": typed})
        assert (answer.status_code, answer.json()["error"]) == (422, "not_typed")
    assert ann.post("/api/bulk", json={"tasks": tasks, "choice": "accept", "typed": 51}).status_code in (404, 422)


def test_bulk_of_several_reasons_and_products_is_refused(ann: TestClient, store: SqlStore) -> None:
    flagged = store.review.tasks(None, only=Filter(kind=Kind.FLAGGED))
    one = flagged[0]
    other = next(each for each in flagged if each.code != one.code and each.stratum != one.stratum)
    tasks = [{"task": each.id, "revision": each.revision, "sha256": each.file_sha256} for each in (one, other)]
    assert ann.post("/api/bulk", json={"tasks": tasks, "choice": "accept"}).json()["error"] == "mixed"
    assert ann.post("/api/bulk", json={"tasks": [tasks[0]] * 2, "choice": "accept"}).json()["error"] == "mixed"


def test_grid_leaves_out_what_is_on_anothers_screen(log_in: LogIn) -> None:
    ada, bob = log_in("ada"), log_in("bob")
    held = {one["id"] for one in take(ada, 3)}
    shown = {one["id"] for one in bob.post("/api/group", json={}).json()["cells"]}
    assert shown
    assert not held & shown
    assert held <= {one["id"] for one in ada.post("/api/group", json={}).json()["cells"]}


def test_a_dispute_tells_what_the_two_said_only_after_the_third(log_in: LogIn, store: SqlStore) -> None:
    ada, bob, eve = log_in("ada"), log_in("bob"), log_in("eve", Role.ADJUDICATOR)
    double = store.review.tasks(None, only=Filter(kind=Kind.DOUBLE))[0]
    for client, choice in ((ada, "accept"), (bob, "reject")):
        mine = [one for one in take(client, 50) if one["sha256"] == double.file_sha256]
        assert client.post("/api/decide", json=said(mine[0], choice, note=f"{choice} it")).status_code == 200
        client.post("/api/release", json={})
    assert take(ada, 50, disputes=True) == []
    ada.post("/api/release", json={})
    (dispute,) = take(eve, 50, disputes=True)
    assert not set(TELLTALE) & set(dispute)
    assert "earlier" not in dispute
    told = eve.post("/api/decide", json=said(dispute, "reject")).json()["earlier"]
    assert [(one["who"], one["choice"]) for one in told] == [("ada", "accept"), ("bob", "reject")]


def test_reasons_come_with_examples_that_were_rejected_and_never_a_seed(ann: TestClient, store: SqlStore) -> None:
    tasks = take(ann, 50)
    for task in tasks:
        ann.post("/api/decide", json=said(task, "reject"))
    listed = ann.get("/api/reasons").json()["reasons"]
    assert [one["digit"] for one in listed] == list(range(1, 10))
    examples = next(one["examples"] for one in listed if one["code"] == "blur")
    assert 1 <= len(examples) <= 4
    assert {store.review.task(one).kind for one in examples} == {Kind.FLAGGED}
    assert ann.get(f"/api/tasks/{examples[0]}/thumbnail").status_code == 200
