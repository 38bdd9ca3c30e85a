"""The app over a small real desk, without a network: requests go straight into the ASGI app."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from qcgen.core.passwords import hash_password
from qcgen.core.review import Role, User
from qcgen.review.app import Setting, make_app
from qcgen.review.server import hosts_of
from qcgen.review.sessions import Tickets
from qcgen.store.sql import SqlStore, open_store
from tests.review.making import make_store

ADDRESS = "http://127.0.0.1:8000"
OWN = {"sec-fetch-site": "same-origin", "content-type": "application/json"}
PASSWORD = "a long enough password"

LogIn = Callable[..., TestClient]


@pytest.fixture(scope="session")
def made_desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database and the picture files that all tests read."""
    folder = tmp_path_factory.mktemp("desk")
    make_store(folder).close()
    return folder


@pytest.fixture
def store(made_desk: Path, tmp_path: Path) -> Iterator[SqlStore]:
    """A database of the test's own."""
    shutil.copy(made_desk / "qcgen.db", tmp_path / "qcgen.db")
    opened = open_store(f"sqlite:///{tmp_path}/qcgen.db")
    yield opened
    opened.close()


def client_of(store: SqlStore, *, local: str | None = "ann", links: Tickets | None = None) -> TestClient:
    """Somebody without a session; requests look like those of the server's own pages."""
    setting = Setting(run_id=None, title="nightly", hosts=hosts_of("127.0.0.1", []), local=local)
    app = make_app(setting, store=store, links=links or Tickets())
    return TestClient(app, base_url=ADDRESS, headers=OWN, follow_redirects=False)


@pytest.fixture
def stranger(store: SqlStore) -> TestClient:
    return client_of(store)


@pytest.fixture
def ann(store: SqlStore) -> TestClient:
    """The one local user, logged in by a link."""
    return at_home(store)


def at_home(store: SqlStore) -> TestClient:
    links = Tickets()
    client = client_of(store, links=links)
    assert client.post("/api/login", json={"ticket": links.issue("ann")}).status_code == 200
    return client


@pytest.fixture
def log_in(store: SqlStore) -> LogIn:
    """Logs a named user in; the user is made where there is none yet. All share one app."""
    first: list[TestClient] = []

    def enter(name: str, role: Role = Role.REVIEWER) -> TestClient:
        if name not in {user.name for user in store.review.users()}:
            store.review.add_user(User(name, role, hash_password(PASSWORD)))
        if not first:
            first.append(client_of(store, local=None))
        client = TestClient(first[0].app, base_url=ADDRESS, headers=OWN, follow_redirects=False)
        answer = client.post("/api/login", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client

    return enter
