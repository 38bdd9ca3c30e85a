"""A stored run that people reviewed, and one with evidence: through the command, from a real database."""

import json
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from qcgen.cli.main import main
from qcgen.core.evidence import EVIDENCE, Record, Shown, evidence_file, evidence_key, needs_evidence, write_record
from qcgen.core.review import Answer, Choice, Kind, Role, TaskDraft
from qcgen.core.types import Outcome
from qcgen.store.sql import SqlStore, open_store
from tests.report import synthetic
from tests.report.stored import keep_run

SPEC = json.dumps({
    "version": 1, "name": "nightly-apparel", "model": "embedded:apparel", "purpose": "research",
    "items": {"matrix": {"product": ["dress"]}, "prompt": "a {product}"}, "output": {"dir": "out"},
})  # fmt: skip


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'q.db'}"
    made = synthetic.make_synthetic(60, pictures=[b""], out_dir=str(tmp_path / "out"))
    store = open_store(url)
    keep_run(store, replace(made.run, spec_json=SPEC), made.everything)
    _review(store, made.run.run_id)
    store.close()
    return url


def _review(store: SqlStore, run_id: str) -> None:
    """Ada refuses the first of ten audited pictures and accepts the others."""
    rows = [row for row in store.rows(run_id) if row.outcome is Outcome.ACCEPT][:10]
    drafts = [
        TaskDraft(row.image_id, Kind.AUDIT, "dress", 0.5, 1.0, "blur", row.relpath or "", row.file_sha256 or "")
        for row in rows
    ]
    store.review.add_tasks(run_id, drafts)
    tasks = store.review.lease_tasks("ada", run_id=run_id, n=20, seconds=60, role=Role.REVIEWER)
    answers = [
        Answer(
            task.id, task.revision, task.file_sha256, Choice.ACCEPT if n else Choice.REJECT, code="" if n else "blur"
        )
        for n, task in enumerate(tasks)
    ]
    assert len(store.review.decide("ada", answers)) == 10


def test_what_people_said_reaches_the_first_screen_and_the_files(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--db", database, "--format", "html,csv,parquet", "--json"]) == 0
    folder = Path(json.loads(capsys.readouterr().out)["report"]).parent
    page = (folder / "index.html").read_text()
    assert "1 of 10 audited images refused" in page
    assert "10 answers by 1 person." in page
    assert ">ada<" not in page
    told = json.loads((folder / "run.json").read_text())
    assert (told["miss_rate"]["count"], told["miss_rate"]["of"]) == (1, 10)
    assert told["review"]["audits_open"] == 0
    assert len((folder / "decisions.csv").read_text().splitlines()) == 11
    assert (folder / "decisions.parquet").is_file()


def test_evidence_in_the_runs_folder_lies_over_its_picture(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(database)
    run = store.runs()[0]
    rows = list(store.rows(run.run_id))
    store.close()
    place, row = next((place, row) for place, row in enumerate(rows) if needs_evidence(row))
    folder = tmp_path / "out" / EVIDENCE
    folder.mkdir(parents=True)
    overlay = f"{row.image_id}-noise.png"
    PIL.Image.new("RGBA", (8, 8)).save(folder / overlay)
    (folder / "readme.txt").write_text("not a picture")
    reason = Shown(row.reasons[0].kind, "grain", 2.0, 1.0, "codes", "Marked: grain.", overlay=overlay)
    record = Record(row.image_id, evidence_key(row.file_sha256, row.reasons), (reason,))
    evidence_file(tmp_path / "out", row.image_id).write_text(write_record(record))
    assert main(["report", run.run_id[:9], "--db", database, "--json"]) == 0
    report = Path(json.loads(capsys.readouterr().out)["report"]).parent
    script = (report / "grid-data.js").read_text()
    data = json.loads(json.loads(script.removeprefix("window.qcgenGrid = JSON.parse(").removesuffix(");\n")))
    assert data["overlays"] == {str(place): f"{EVIDENCE}/{overlay}"}
