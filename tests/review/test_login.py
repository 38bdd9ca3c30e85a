"""Who comes in, and how."""

from pathlib import Path

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from qcgen.core.passwords import check_password, hash_password
from qcgen.core.review import Role, User
from qcgen.review.app import Setting, make_routes
from qcgen.review.desk import Desk
from qcgen.review.login import Accounts
from qcgen.review.sessions import LIFETIME_S, Tickets, digest
from qcgen.review.shield import Hosts
from qcgen.review.throttle import PER_NAME, Throttle
from qcgen.store.sql import SqlStore
from tests.review.conftest import LogIn, client_of

OPEN = {"/login", "/api/login", "/api/alive", "/favicon.ico"}


def all_routes(store: SqlStore) -> list[Route]:
    setting = Setting(run_id=None, title="", hosts=Hosts.of([]), local="ann")
    return make_routes(setting, Desk(store, None), Accounts(store.review, "ann", "c", Tickets()))


def test_every_route_is_shut_without_a_session_except_the_four_that_are_listed(
    store: SqlStore, stranger: TestClient
) -> None:
    routes = all_routes(store)
    assert len(routes) >= 20
    assert not OPEN - {route.path for route in routes}
    for route in routes:
        path = route.path.replace("{task:id}", "1").replace("{number:id}", "0")
        for method in sorted((route.methods or set()) - {"HEAD"}):
            status = stranger.request(method, path, json=None if method == "GET" else {}).status_code
            if route.path in OPEN:
                assert status in (200, 204, 422), path
            else:
                assert status == 401, path


@pytest.mark.parametrize("cookie", ["", "x", "a" * 4000, "'; drop table review_session; --", "%00"])
def test_invented_cookies_open_nothing(store: SqlStore, cookie: str) -> None:
    for local in ("ann", None):
        client = client_of(store, local=local)
        client.cookies.set("qcgen_review", cookie)
        assert client.get("/api/progress").status_code == 401


def test_link_logs_in_once(store: SqlStore) -> None:
    links = Tickets()
    ticket = links.issue("ann")
    first, second = client_of(store, links=links), client_of(store, links=links)
    answer = first.post("/api/login", json={"ticket": ticket})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert first.get("/api/progress").status_code == 200
    assert second.post("/api/login", json={"ticket": ticket}).status_code == 401


def test_secrets_run_out_and_only_their_digests_are_kept() -> None:
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    secret = tickets.issue("ann")
    assert secret not in repr(vars(tickets))
    assert digest(secret) in repr(vars(tickets))
    now[0] = LIFETIME_S - 1
    assert tickets.name_of(secret) == "ann"
    now[0] = LIFETIME_S + 1
    assert tickets.name_of(secret) is None
    assert tickets.take(secret) is None


def test_named_people_log_in_with_their_password_and_out_again(log_in: LogIn, store: SqlStore) -> None:
    ada = log_in("ada")
    assert ada.get("/api/progress").status_code == 200
    leased = ada.post("/api/next", json={}).json()["tasks"]
    assert store.review.task(leased[0]["id"]).lease_by == "ada"
    cookie = ada.cookies["qcgen_review"]
    assert ada.post("/api/logout", json={}).status_code == 200
    assert store.review.task(leased[0]["id"]).lease_by is None
    ada.cookies.set("qcgen_review", cookie)
    assert ada.get("/api/progress").status_code == 401


def test_somebody_who_is_switched_off_is_out_at_once(log_in: LogIn, store: SqlStore) -> None:
    ada = log_in("ada")
    user = next(one for one in store.review.users() if one.name == "ada")
    store.review.change_user(User("ada", user.role, user.password, active=False))
    assert ada.get("/api/progress").status_code == 401
    assert ada.post("/api/login", json={"name": "ada", "password": "a long enough password"}).status_code == 401


def test_wrong_password_and_unknown_name_are_told_in_the_same_words(log_in: LogIn, store: SqlStore) -> None:
    client = log_in("ada")
    wrong = client.post("/api/login", json={"name": "ada", "password": "guess"})
    unknown = client.post("/api/login", json={"name": "nobody", "password": "guess"})
    store.review.add_user(User("bare", Role.REVIEWER, None))
    bare = client.post("/api/login", json={"name": "bare", "password": ""})
    assert wrong.status_code == unknown.status_code == bare.status_code == 401
    assert wrong.text == unknown.text == bare.text


def test_tries_are_limited_by_name(log_in: LogIn) -> None:
    client = log_in("ada")
    said = [client.post("/api/login", json={"name": "bob", "password": "x"}) for _ in range(PER_NAME + 1)]
    assert [one.status_code for one in said] == [401] * PER_NAME + [429]
    assert 0 < int(said[-1].headers["retry-after"]) <= 60


def test_throttle_forgets_after_a_minute_and_holds_an_address_back_too() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for number in range(20):
        assert throttle.wait_s(f"name {number}", "10.0.0.1") == 0
    assert throttle.wait_s("another", "10.0.0.1") == 60
    throttle.forgive("name 3", "10.0.0.1")
    assert throttle.wait_s("another", "10.0.0.1") == 0
    assert throttle.wait_s("another", "10.0.0.1") == 60
    assert throttle.wait_s("another", "10.0.0.2") == 0
    now[0] = 60.0
    assert throttle.wait_s("another", "10.0.0.1") == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"ticket": "x", "name": "y"}, {"name": "x"}, {"ticket": 1}, {"ticket": None}, {"else": 1}, [], "text", None,
     {"name": ["ada"], "password": "x"}],
)  # fmt: skip
def test_a_login_of_another_form_is_refused_without_an_echo(stranger: TestClient, body: object) -> None:
    answer = stranger.post("/api/login", json=body)
    assert answer.status_code in (401, 422)
    assert set(answer.json()) == {"error", "message"}


def test_roles_open_what_is_theirs_and_nothing_else(log_in: LogIn) -> None:
    reviewer, judge, manager = log_in("ada"), log_in("eve", Role.ADJUDICATOR), log_in("max", Role.MANAGER)
    seen = {
        path: tuple(one.get(path).status_code for one in (reviewer, judge, manager))
        for path in ("/", "/grid", "/disputes", "/statistics", "/api/groups")
    }
    assert seen == {
        "/": (200, 200, 303),
        "/grid": (200, 200, 403),
        "/disputes": (403, 200, 403),
        "/statistics": (403, 403, 200),
        "/api/groups": (200, 200, 403),
    }
    for path in ("/api/next", "/api/decide", "/api/undo", "/api/bulk", "/api/group"):
        assert manager.post(path, json={}).status_code == 403


def test_password_hashes_are_salted_and_refuse_what_is_none() -> None:
    one, two = hash_password("pässword"), hash_password("pässword")
    assert one != two
    assert check_password("pässword", one)
    assert check_password("pässword", two)
    assert not check_password("password", one)
    for stored in ("", "x", "scrypt$1$1$1$a$b", "scrypt$99999999999$8$1$aa==$bb==", "md5$1$2$3$4$5", one[:-8], "$" * 5):
        assert not check_password("pässword", stored)


def test_database_holds_no_session_secret(log_in: LogIn, tmp_path: Path) -> None:
    client = log_in("ada")
    secret = client.cookies["qcgen_review"].encode()
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    assert not any(secret in path.read_bytes() for path in files)
