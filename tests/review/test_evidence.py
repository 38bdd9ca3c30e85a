"""What a check saw lies over the picture, for those who have been shown its finding, and for nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from qcgen.core.evidence import EVIDENCE, Record, Shown, evidence_file, evidence_key, write_record
from qcgen.core.review import Filter, Kind, Task
from qcgen.store.sql import SqlStore

SAYS = "Marked: grain."


@pytest.fixture
def explained(store: SqlStore) -> Iterator[Task]:
    """A flagged picture whose strongest finding has a map."""
    task = store.review.tasks(None, only=Filter(kind=Kind.FLAGGED))[0]
    row = store.review.row(task.run_id, task.image_id)
    run = store.run(task.run_id)
    assert row is not None
    assert run is not None
    out = Path(run.out_dir)
    (out / EVIDENCE).mkdir(exist_ok=True)
    name = f"{row.image_id}-noise.png"
    Image.new("RGBA", (4, 4), (233, 30, 140, 128)).save(out / EVIDENCE / name)
    kind = row.reasons[0].kind
    shown = Shown(kind, "grain", 2.0, 1.0, "codes", SAYS, overlay=name)
    record = Record(row.image_id, evidence_key(row.file_sha256, row.reasons), (shown,))
    evidence_file(out, row.image_id).write_text(write_record(record))
    yield task
    evidence_file(out, row.image_id).unlink()
    (out / EVIDENCE / name).unlink()


def take(client: TestClient, task: Task, *, blind: bool) -> dict[str, object]:
    """The task as the desk shows it, among all that wait."""
    tasks = client.post("/api/next", json={"n": 12, "blind": blind}).json()["tasks"]
    found: dict[str, object] = next(one for one in tasks if one["id"] == task.id)
    return found


def test_who_is_shown_the_findings_sees_the_map(ann: TestClient, explained: Task) -> None:
    address = f"/api/tasks/{explained.id}/evidence/0"
    assert ann.get(address).status_code == 404
    assert "findings" not in take(ann, explained, blind=True)
    assert ann.get(address).status_code == 404
    findings = take(ann, explained, blind=False)["findings"]
    assert isinstance(findings, list)
    assert findings[0]["map"] is True
    answer = ann.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-says"] == "Marked%3A%20grain."
    for number in (1, 99):
        assert ann.get(f"/api/tasks/{explained.id}/evidence/{number}").status_code == 404


def test_the_map_is_shown_to_all_once_it_is_decided(ann: TestClient, explained: Task) -> None:
    one = take(ann, explained, blind=True)
    sent = {"task": one["id"], "revision": one["revision"], "sha256": one["sha256"], "choice": "accept"}
    told = ann.post("/api/decide", json={**sent, "blind": True, "dwell_ms": 500})
    assert told.status_code == 200, told.text
    assert told.json()["findings"][0]["map"] is True
    assert ann.get(f"/api/tasks/{explained.id}/evidence/0").status_code == 200


def test_evidence_of_other_pixels_is_not_shown(ann: TestClient, store: SqlStore, explained: Task) -> None:
    run = store.run(explained.run_id)
    assert run is not None
    record = Record(explained.image_id, "0" * 64, ())
    evidence_file(Path(run.out_dir), explained.image_id).write_text(write_record(record))
    findings = take(ann, explained, blind=False)["findings"]
    assert isinstance(findings, list)
    assert findings[0]["map"] is False
    assert ann.get(f"/api/tasks/{explained.id}/evidence/0").status_code == 404
