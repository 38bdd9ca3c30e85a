"""Pictures by number, and nothing by name."""

import os
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.testclient import TestClient

from qcgen.core.review import Filter, Kind
from qcgen.store.sql import SqlStore
from tests.review.conftest import LogIn, at_home
from tests.review.making import make_store

CLIMBS = ("..", "%2e%2e", "%252e%252e", "..%2f..", "..%5c..", "..;", ".%00.", "%c0%ae%c0%ae", "...//", "..\\..")
TARGETS = ("etc/passwd", "qcgen.db", "out/images/0.png", "windows/win.ini", "proc/self/environ")
STARTS = ("/", "/api/tasks/", "/api/tasks/1/", "/api/tasks/1/picture/", "/static/", "/files/", "/images/", "/grid/",
          "/api/tasks/1/siblings/", "/api/tasks/1/lenses/")  # fmt: skip
CORPUS = [f"{start}{climb}/{target}" for start in STARTS for climb in CLIMBS for target in TARGETS]


def test_five_hundred_climbing_paths_lead_nowhere(ann: TestClient, stranger: TestClient) -> None:
    assert len(CORPUS) >= 500
    for path in CORPUS:
        for client in (ann, stranger):
            # The client must not tidy the path before it is sent.
            request = client.build_request("GET", "http://127.0.0.1:8000/")
            request.url = request.url.copy_with(raw_path=quote(path, safe="/%.;\\").encode())
            answer = client.send(request)
            assert answer.status_code in (404, 401), path
            assert "root:" not in answer.text


@pytest.mark.parametrize("number", ["-1", "1.5", "1e3", "0x1", "٣", "1 ", "9" * 19, "9" * 5000, "1;2", "", "null"])
def test_only_plain_numbers_name_a_task(ann: TestClient, number: str) -> None:
    assert ann.get(f"/api/tasks/{quote(number)}/picture").status_code == 404
    assert ann.get(f"/api/tasks/1/lenses/{quote(number)}").status_code == 404


def test_picture_has_the_recorded_bytes_and_may_be_kept_by_this_browser(ann: TestClient, store: SqlStore) -> None:
    task = store.review.tasks(None)[0]
    answer = ann.get(f"/api/tasks/{task.id}/picture")
    assert answer.content == Path(store.run(task.run_id).out_dir, task.relpath).read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"].startswith("private")
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_thumbnail_siblings_and_maps_are_pictures(ann: TestClient, store: SqlStore) -> None:
    task = store.review.tasks(None, only=Filter(kind=Kind.FLAGGED))[0]
    labels = ann.get(f"/api/tasks/{task.id}/siblings").json()["labels"]
    assert labels == ["Accepted, same product"]
    for path in ("thumbnail", "siblings/0", "lenses/0", "lenses/3"):
        answer = ann.get(f"/api/tasks/{task.id}/{path}")
        assert answer.status_code == 200, path
        Image.open(BytesIO(answer.content)).load()
    for path in ("siblings/1", "lenses/4"):
        assert ann.get(f"/api/tasks/{task.id}/{path}").status_code == 404


def test_a_seed_is_not_compared_with_its_source(ann: TestClient, store: SqlStore) -> None:
    seed = store.review.tasks(None, only=Filter(kind=Kind.SEED))[0]
    source = store.review.row(seed.run_id, seed.source_id)
    labels = ann.get(f"/api/tasks/{seed.id}/siblings").json()["labels"]
    shown = [ann.get(f"/api/tasks/{seed.id}/siblings/{number}").content for number in range(len(labels))]
    assert Path(store.run(seed.run_id).out_dir, source.relpath).read_bytes() not in shown


def test_changed_linked_or_lost_files_are_not_shown(tmp_path: Path) -> None:
    store = make_store(tmp_path, 8)
    ann = at_home(store)
    tasks = store.review.tasks(None)
    files = [Path(store.run(one.run_id).out_dir, one.relpath) for one in tasks[:3]]
    files[0].write_bytes(files[0].read_bytes() + b"!")
    files[1].rename(tmp_path / "elsewhere.png")
    os.symlink(tmp_path / "elsewhere.png", files[1])
    files[2].unlink()
    statuses = [ann.get(f"/api/tasks/{one.id}/picture").status_code for one in tasks[:3]]
    assert statuses == [409, 404, 404]
    store.close()


def test_desk_of_one_run_shows_no_pictures_of_another(store: SqlStore, log_in: LogIn) -> None:
    from qcgen.review.app import Setting, make_app
    from qcgen.review.server import hosts_of
    from qcgen.review.sessions import Tickets

    ada = log_in("ada")
    setting = Setting(run_id="another", title="another", hosts=hosts_of("127.0.0.1", []), local=None)
    other = TestClient(make_app(setting, store=store, links=Tickets()), base_url="http://127.0.0.1:8000")
    other.cookies.set("qcgen_review", ada.cookies["qcgen_review"])
    assert ada.get("/api/tasks/1/picture").status_code == 200
    assert other.get("/api/tasks/1/picture").status_code == 404
