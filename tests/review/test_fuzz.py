"""Ten thousand requests that nobody would send in good faith: none breaks the server, none is quoted back."""

import asyncio
import random

import httpx
from starlette.testclient import TestClient

from qcgen.store.sql import SqlStore
from tests.review.conftest import ADDRESS, OWN
from tests.review.test_login import all_routes

CANARY = "canary7"
PIECES = (
    "{}", "[]", "null", "1e999", "-0", '"\\ud800"', "NaN", '{"n":', "[" * 2000, '{"a":' * 500, "\x00", "\xff\xfe",
    CANARY, '{"tasks":[]}', '{"code":"' + CANARY + '"}', '{"ticket":"' + CANARY + '"}', "9" * 5000, '{"after":-1}',
    '{"name":"' + CANARY + '","password":""}', '{"n":99999999999999999999}', '{"n":1,"blind":"' + CANARY + '"}',
    '{"task":1,"revision":0,"sha256":"' + "0" * 64 + '","choice":"accept"}', '{"code":"blur","after":0}',
)  # fmt: skip
SEGMENTS = (
    "api", "tasks", "1", "0", "picture", "siblings", "lenses", "..", "%00", "%ff", "%c3%bc", "a" * 300, "grid", CANARY,
)  # fmt: skip
HEADERS = (
    ("cookie", "qcgen_review=" + CANARY), ("cookie", ";;;=\xff"), ("range", "bytes=0-" + ",0-" * 500),
    ("content-type", "text/plain"), ("content-type", "application/json; charset=" + CANARY), ("content-length", "7"),
    ("sec-fetch-site", "cross-site"), ("host", CANARY), ("origin", "http://" + CANARY), ("x-forwarded-for", CANARY),
    ("transfer-encoding", "gzip"), ("accept-encoding", CANARY), ("if-none-match", CANARY),
    ("x-http-method-override", "PUT"),
)  # fmt: skip
METHODS = ("GET", "POST", "POST", "POST", "HEAD", "PUT", "OPTIONS")
REQUESTS = 10_000
# Logging out would end the only session; whole pages are long to render and take no input.
LEFT_OUT = ("/api/logout", "/statistics", "/", "/grid", "/disputes", "/login")


def test_ten_thousand_hostile_requests_give_no_500_and_no_echo(ann: TestClient, store: SqlStore) -> None:
    rng = random.Random(20261125)
    known = [route.path.replace("{task:id}", "1").replace("{number:id}", "0") for route in all_routes(store)]
    known = [path for path in known if path not in LEFT_OUT]

    async def send_all() -> dict[int, int]:
        statuses: dict[int, int] = {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(ann.app), base_url=ADDRESS) as client:
            for number in range(REQUESTS):
                path = rng.choice(known)
                if rng.random() < 0.4:
                    path = "/" + "/".join(rng.choices(SEGMENTS, k=rng.randint(1, 4)))
                chosen = dict(OWN) | dict(rng.choices(HEADERS, k=rng.choice((0, 0, 1, 2))))
                if number % 3:
                    chosen.setdefault("cookie", f"qcgen_review={ann.cookies['qcgen_review']}")
                headers = [(name, value.encode("latin-1")) for name, value in chosen.items()]
                body = "".join(rng.choices(PIECES, k=rng.choice((1, 1, 1, 2, 3)))).encode("utf-8", "surrogatepass")
                method = rng.choice(METHODS)
                answer = await client.request(method, path, headers=headers, content=body if method != "GET" else None)
                assert answer.status_code < 500, (method, path, chosen, body[:100])
                assert CANARY not in answer.text, (method, path)
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        return statuses

    statuses = asyncio.run(send_all())
    # The requests reached all the ways to refuse, and some were right.
    assert not {200, 400, 401, 403, 404, 405, 409, 415, 422} - set(statuses), statuses
