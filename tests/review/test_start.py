"""`qcgen review` as a program: what it says, what it refuses, how it stops."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from qcgen.cli.main import main
from qcgen.core.passwords import hash_password
from qcgen.core.review import Filter, Kind, Role, State, User
from qcgen.store.sql import SqlStore, open_store
from tests.review.conftest import OWN, PASSWORD
from tests.store.build import run_info, shards


@contextmanager
def started(folder: Path, *more: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The running program and all that it said until it was ready."""
    command = [sys.executable, "-m", "qcgen.cli.main", "review", "--port", "0", "--db", f"sqlite:///{folder}/qcgen.db"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "Ctrl-C" in line:
                break
        yield process, said
    finally:
        process.kill()
        process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture
def database(store: SqlStore, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/qcgen.db"


def leased(store: SqlStore) -> list[str]:
    return [one.lease_by for one in store.review.tasks(None, only=Filter(state=State.OPEN)) if one.lease_by is not None]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_a_link_that_works_once_and_gives_leases_back_when_it_stops(
    store: SqlStore, tmp_path: Path, how: signal.Signals
) -> None:
    with started(tmp_path) as (process, said):
        waiting = sum(one.total for one in store.review.progress(None))
        assert f"{waiting} of {waiting} pictures wait for a person" in said
        found = re.search(r"(http://127\.0\.0\.1:\d+)/login#ticket=(\S+)", said)
        assert found is not None, said
        address, ticket = found.groups()
        with httpx.Client(base_url=address, headers=OWN) as client:
            assert client.get("/api/progress").status_code == 401
            assert client.post("/api/login", json={"ticket": ticket}).status_code == 200
            assert client.post("/api/login", json={"ticket": ticket}).status_code == 401
            assert client.post("/api/next", json={"n": 5}).status_code == 200
            assert len(leased(store)) == 5
            assert "server" not in client.get("/api/progress").headers
        process.send_signal(how)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        assert process.wait(20) in (0, -how)
    assert leased(store) == []


def test_with_named_people_it_asks_for_a_password_instead(store: SqlStore, tmp_path: Path) -> None:
    store.review.add_user(User("ada", Role.REVIEWER, hash_password(PASSWORD)))
    with started(tmp_path, "run-1", "--host", "0.0.0.0", "--allow-host", "review.example") as (process, said):
        assert "ticket" not in said
        assert "unencrypted" in said
        port = re.search(r"http://0\.0\.0\.0:(\d+)", said)
        assert port is not None, said
        with httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", headers=OWN) as client:
            assert 'id="password"' in client.get("/").text
            assert client.get("/api/alive", headers={"host": "review.example"}).status_code == 200
            assert client.get("/api/alive", headers={"host": "evil.example"}).status_code == 400
            assert client.post("/api/login", json={"name": "ada", "password": PASSWORD}).status_code == 200
            assert client.get("/api/progress").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_another_machine_may_not_come_in_while_nobody_has_a_password(
    database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", "--host", "0.0.0.0", "--db", database]) == 2
    assert "Cure: qcgen users add NAME" in capfd.readouterr().err


def test_taken_port_and_foreign_address_are_one_line_with_a_cure(
    database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["review", "--port", str(port), "--db", database]) == 2
    said = capfd.readouterr().err.splitlines()
    assert said == [
        f"--port: {port} is taken on 127.0.0.1. Cure: --port {port + 1 if port < 65535 else 8000}, or stop the other "
        "program."
    ]


def test_unknown_run_and_empty_database_are_told(
    database: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", "nothing", "--db", database]) == 2
    assert "RUN: no run 'nothing'" in capfd.readouterr().err
    open_store(f"sqlite:///{tmp_path}/empty.db").close()
    assert main(["review", "--db", f"sqlite:///{tmp_path}/empty.db"]) == 2
    assert "Cure: qcgen run JOB.yaml" in capfd.readouterr().err


def test_a_run_without_tasks_says_so_and_serves_all_the_same(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/qcgen.db")
    store.start_run(run_info(), shards(8, 8))
    store.close()
    with started(tmp_path, "nightly") as (_, said):
        assert "no picture waits for a person" in said


def test_a_copy_of_the_database_needs_its_files_only_when_they_are_shown(made_desk: Path, tmp_path: Path) -> None:
    shutil.copy(made_desk / "qcgen.db", tmp_path / "qcgen.db")
    with started(tmp_path) as (_, said):
        assert "wait for a person" in said
    store = open_store(f"sqlite:///{tmp_path}/qcgen.db")
    assert store.review.tasks(None, only=Filter(kind=Kind.FLAGGED))
    store.close()
