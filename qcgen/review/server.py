"""The web server around the app: one process, loopback unless there are users, quiet, clean at Ctrl-C."""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable

import uvicorn
from starlette.types import ASGIApp

from qcgen.core.errors import SpecError
from qcgen.review.shield import Hosts

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(host: str, allowed: Iterable[str]) -> Hosts:
    """The names under which a server on `host` answers; `allowed` are further ones."""
    if is_loopback(host):
        return Hosts.of([*_LOCAL_NAMES, host, *allowed])
    everywhere = host in ("0.0.0.0", "::")
    own = [socket.gethostname(), socket.getfqdn()] if everywhere else [host]
    return Hosts.of([*_LOCAL_NAMES, *own, *allowed], any_address=everywhere)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound before anything else happens.

    Raises:
        SpecError: the port is taken or not allowed, or the host is none of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise SpecError(f"--host: this machine has no address {host!r}. Cure: --host 127.0.0.1.") from error
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Another start must find the port taken at once, not when both serve.
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise SpecError(_why_not(error, host, port)) from error
    return bound


def serve(app: ASGIApp, bound: socket.socket, *, started: Callable[[], None]) -> None:
    """Answer until Ctrl-C or SIGTERM; requests that have begun are finished."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Whoever stands in front must not be able to say who the client is.
        proxy_headers=False,
        lifespan="on",
        http="h11",
        loop="asyncio",
        ws="none",
        h11_max_incomplete_event_size=16 * 1024,
        limit_concurrency=256,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config, started)
    # uvicorn raises the signal once more when it has cleaned up.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[bound])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._tell()


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        free = port + 1 if port < 65535 else 8000
        return f"--port: {port} is taken on {host}. Cure: --port {free}, or stop the other program."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"--port: {port} is not allowed to you. Cure: a port from 1024 to 65535."
    return f"--host: {host}:{port} cannot be used ({error.strerror}). Cure: --host 127.0.0.1."
