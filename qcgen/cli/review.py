"""`qcgen review`: the reviewers' web app."""

import getpass
import socket
from collections.abc import Sequence
from typing import Annotated

import typer

from qcgen.cli.console import say
from qcgen.cli.options import DATABASE, Db
from qcgen.core.errors import SpecError
from qcgen.core.review import ReviewStore
from qcgen.core.store import Store
from qcgen.core.types import RunInfo
from qcgen.core.wording import part_of, several

RunName = Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run; all runs with tasks if left out.")]
Host = Annotated[str, typer.Option("--host", help="Where to listen; other machines' people need names and passwords.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")]
AllowHost = Annotated[
    list[str] | None, typer.Option("--allow-host", metavar="NAME", help="A further name of this server, as a proxy's.")
]


def review(
    run: RunName = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    allow_host: AllowHost = None,
    db: Db = DATABASE,
) -> None:
    """Let people look at a run's pictures in the browser, until Ctrl-C.

    Example: qcgen review demo-apparel --port 8000
    """
    from qcgen.cli.wiring import find_run, newest_run, opened
    from qcgen.review.server import is_loopback, listen

    with opened(db, create=False) as store:
        newest = newest_run(store)
        found = find_run(store, run) if run is not None else None
        named = any(user.active and user.password for user in store.review.users())
        if not named and not is_loopback(host):
            raise SpecError(
                f"--host: {host} is reached from other machines, and nobody has a password yet. "
                "Cure: qcgen users add NAME, or --host 127.0.0.1."
            )
        with listen(host, port) as bound:
            if found is not None:
                _plan_if_unplanned(store, found)
            _tell_what_waits(store.review, found, newest)
            _serve(store, bound, run=found, host=host, named=named, allowed=allow_host or ())


def _plan_if_unplanned(store: Store, run: RunInfo) -> None:
    """Plan the queue of a run that ended before queues were planned; all others have theirs, and start fast."""
    if run.status == "running" or store.review.progress(run.run_id):
        return
    from qcgen.pipeline.reviewplan import plan_review

    say(f"planning the queue of {run.name}")
    for told in plan_review(run, store):
        say(told.message)


def _tell_what_waits(reviews: ReviewStore, run: RunInfo | None, newest: RunInfo) -> None:
    counts = reviews.progress(run.run_id if run else None)
    total, done = sum(one.total for one in counts), sum(one.done for one in counts)
    where = f"run {run.name} {run.run_id[:12]}" if run else "all runs"
    if not total:
        say(
            f"{where}: no picture waits for a person. Cure: qcgen run JOB.yaml, or another RUN (newest: {newest.name})."
        )
    elif total == done:
        say(f"{where}: {several(total, 'picture has its', 'pictures have their')} answer, and none waits.")
    else:
        say(f"{where}: {part_of(total - done, total, 'picture', 'waits', 'wait')} for a person.")


def _serve(
    store: Store, bound: socket.socket, *, run: RunInfo | None, host: str, named: bool, allowed: Sequence[str]
) -> None:
    from qcgen.review.app import Setting, make_app
    from qcgen.review.server import hosts_of, is_loopback, serve
    from qcgen.review.sessions import Tickets

    port = bound.getsockname()[1]
    local = None if named else _local_name()
    links = Tickets()
    setting = Setting(
        run_id=run.run_id if run else None,
        title=run.name if run else "All runs",
        hosts=hosts_of(host, allowed),
        local=local,
        cookie=f"qcgen_review_{port}",
    )

    def tell() -> None:
        address = f"http://{_written(host)}:{port}"
        if local is not None:
            say(f"Open this link, it logs {local} in once:\n\n  {address}/login#ticket={links.issue(local)}\n")
        else:
            say(f"Log in at {address}/")
        if not is_loopback(host):
            say("Passwords and pictures travel unencrypted. Put a TLS proxy in front, and name it with --allow-host.")
        say("Ctrl-C stops the server.")

    serve(make_app(setting, store=store, links=links), bound, started=tell)
    say("Stopped. All answers are stored; pictures that were on a screen are back in the queue.")


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _local_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user without an entry in the list of users.
        return "reviewer"
