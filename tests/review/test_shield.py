"""What is turned away before any route sees it."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from qcgen.review.server import hosts_of, is_loopback
from qcgen.review.shield import BODY_LIMIT, Hosts, Shield

OWN = {"sec-fetch-site": "same-origin", "content-type": "application/json"}


@pytest.fixture
def client() -> TestClient:
    async def echo_length(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/", echo_length, methods=["GET", "POST", "PUT"])])
    return TestClient(Shield(app, hosts_of("127.0.0.1", [])), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "LOCALHOST:1", "[::1]:8000", "localhost"])
def test_own_names_are_answered_on_any_port(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "127.0.0.1:8000:1", "127.0.0.1/x", "[::1",
     "10.0.0.1", "127.0.0.1 ", "a\tb", "localhost:99999999"],
)  # fmt: skip
def test_foreign_host_is_refused_with_400(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 400
    assert host not in answer.text or not host.strip()


def test_two_hosts_are_refused(client: TestClient) -> None:
    assert client.get("/", headers=[("host", "127.0.0.1"), ("host", "evil.example")]).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[bad"}, 403),
        ({}, 403),
    ],
)
def test_unsafe_methods_must_come_from_a_page_of_this_server(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/", content=b"{}", headers={"content-type": "application/json", **headers})
    assert answer.status_code == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(client: TestClient, kind: str) -> None:
    assert client.post("/", content=b"{}", headers={**OWN, "content-type": kind}).status_code == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_refused(client: TestClient, method: str) -> None:
    assert client.request(method, "/", headers=OWN).status_code == 405


def test_body_above_the_limit_is_refused_whether_it_says_its_length_or_not(client: TestClient) -> None:
    large = b"x" * (BODY_LIMIT + 1)
    assert client.post("/", content=large, headers=OWN).status_code == 413
    assert client.post("/", content=iter([large[:1000], large[1000:]]), headers=OWN).status_code == 413
    fits = client.post("/", content=large[1:], headers=OWN)
    assert (fits.status_code, fits.text) == (200, str(BODY_LIMIT))


def test_every_answer_has_the_headers_that_keep_it_in_place(client: TestClient) -> None:
    for answer in (client.get("/"), client.get("/nothing"), client.get("/", headers={"host": "evil.example"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_server_on_all_addresses_answers_to_addresses_but_not_to_foreign_names() -> None:
    hosts = hosts_of("0.0.0.0", ["Review.Example"])
    assert hosts.know("10.1.2.3:8000")
    assert hosts.know("[fe80::1]:8000")
    assert hosts.know("review.example")
    assert not hosts.know("evil.example")
    assert not Hosts.of(["10.0.0.1"]).know("10.0.0.2")


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.2", False), ("myhost", False), ("localhost.evil.example", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host: str, local: bool) -> None:
    assert is_loopback(host) is local
