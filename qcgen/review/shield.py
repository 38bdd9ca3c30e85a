"""What every request passes before a route sees it: its Host, its origin, its size; and the headers of answers."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qcgen.review.problem import Problem, answer_problem

BODY_LIMIT = 256 * 1024
"""Bytes; a bulk of 2,000 answers takes 210 kB."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?::[0-9]{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_METHODS = _SAFE_METHODS | {"POST"}
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "content-security-policy": _NOTHING,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

FOREIGN_HOST = Problem(400, "foreign_host", "This server does not answer to that name. Cure: --allow-host NAME.")
FOREIGN_ORIGIN = Problem(403, "foreign_origin", "Only pages of this server may send this.")
NOT_JSON = Problem(415, "not_json", "Send application/json.")
TOO_LARGE = Problem(413, "too_large", "The request is too large.")
NO_METHOD = Problem(405, "no_method", "Only GET and POST.")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Names under which the server answers. An address cannot be rebound by a name server, a foreign name can.

    Attributes:
        names: lower case, without ports.
        any_address: every literal IP address is ours too (the server listens on all of them).
    """

    names: frozenset[str]
    any_address: bool = False

    @staticmethod
    def of(names: Iterable[str], *, any_address: bool = False) -> "Hosts":
        return Hosts(frozenset(_unbracketed(name.lower()) for name in names), any_address)

    def know(self, host: str) -> bool:
        """Whether a Host header names this server."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = _unbracketed(found["name"])
        return name in self.names or (self.any_address and _is_address(name))


class Shield:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        problem = self._refusal(scope)
        if problem is not None:
            await answer_problem(problem)(scope, receive, guarded)
            return
        body = await _read_body(receive)
        if body is None:
            await answer_problem(TOO_LARGE, headers={"connection": "close"})(scope, receive, guarded)
            return
        await self._app(scope, _replay(body, receive), guarded)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.know(hosts[0]):
            return FOREIGN_HOST
        if scope["method"] not in _METHODS:
            return NO_METHOD
        if scope["method"] in _SAFE_METHODS:
            return None
        if not _is_own_page(headers, hosts[0]):
            return FOREIGN_ORIGIN
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return NOT_JSON
        length = headers.get("content-length", "0")
        return TOO_LARGE if length.isdecimal() and len(length) < 16 and int(length) > BODY_LIMIT else None


def _is_own_page(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    try:
        return urlsplit(headers.get("origin", "")).netloc.lower() == host.lower()
    except ValueError:
        return False


async def _read_body(receive: Receive) -> bytes | None:
    """All of it, None where it is longer than the limit (whatever its header said)."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)
        size += len(message.get("body", b""))
        if size > BODY_LIMIT:
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return add


def _unbracketed(name: str) -> str:
    return name.removeprefix("[").removesuffix("]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
