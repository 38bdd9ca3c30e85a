"""Evidence of a real run on the toy student: made after the verdicts, made again where missing, failing nothing."""

import json
import os
from pathlib import Path

import PIL.Image
import pytest

from qcgen.core.evidence import EVIDENCE, evidence_file, evidence_of, missing_evidence, needs_evidence, read_record
from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.pipeline.evidence import explain_rows
from qcgen.pipeline.rejudge import rejudge
from qcgen.qc.inspect import Inspector
from qcgen.qc.policy import load_policy
from qcgen.report.evidence import find_overlays
from qcgen.store.sql import open_store
from tests.pipeline.toyjob import PROFILE, make_job, run_toy


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunInfo, list[Row]]:
    """A run with rejected pictures and one row of each kind."""
    store = open_store(f"sqlite:///{tmp_path}/qcgen.db")
    made = run_toy(make_job(tmp_path / "out", copies=1, max_attempts=1), store)
    rows = list(store.rows(made.run_id))
    store.close()
    assert any(row.outcome is Outcome.REJECT for row in rows)
    return made, rows


@pytest.fixture
def inspector() -> Inspector:
    return Inspector(load_policy(PROFILE), None)


def _doubtful(rows: list[Row]) -> list[Row]:
    return [row for row in rows if needs_evidence(row)]


def test_every_doubtful_picture_gets_a_record_with_the_number_and_its_limit(run, inspector: Inspector) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    done = explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    assert (done.made, done.warning) == (len(_doubtful(rows)), None)
    for row in _doubtful(rows):
        record = evidence_of(folder, row)
        assert record is not None
        first = record.reasons[0]
        assert (first.kind, first.value, first.limit) == (
            row.reasons[0].kind, row.reasons[0].value, row.reasons[0].threshold
        )  # fmt: skip
        if first.overlay is not None:
            with PIL.Image.open(folder / EVIDENCE / first.overlay) as overlay:
                assert (overlay.mode, overlay.size) == ("P", (row.width, row.height))
    names = {path.name for path in (folder / EVIDENCE).iterdir()}
    assert not [name for name in names if name.endswith(".part")]
    assert {path.stem for path in (folder / EVIDENCE).glob("*.json")} == {row.image_id for row in _doubtful(rows)}
    assert set(find_overlays(folder)) <= {row.image_id for row in _doubtful(rows)}


def test_what_is_there_is_not_made_again_and_the_same_bytes_come_back(run, inspector: Inspector) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    assert missing_evidence(rows, folder) == []
    first = {path.name: path.read_bytes() for path in (folder / EVIDENCE).iterdir()}
    for path in (folder / EVIDENCE).iterdir():
        path.unlink()
    explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    assert {path.name: path.read_bytes() for path in (folder / EVIDENCE).iterdir()} == first


def test_a_lost_picture_costs_its_own_evidence_and_one_warning_with_a_cure(run, inspector: Inspector) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    lost = _doubtful(rows)[0]
    (folder / str(lost.relpath)).unlink()
    done = explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    assert done.made == len(_doubtful(rows)) - 1
    assert done.warning is not None
    assert "Cure: " in done.warning
    assert evidence_of(folder, lost) is None


def test_a_folder_that_cannot_be_written_ends_in_one_warning(run, inspector: Inspector) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    (folder / EVIDENCE).write_text("somebody's file")
    done = explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    assert done.made == 0
    assert done.warning is not None
    assert (folder / EVIDENCE).read_text() == "somebody's file"


@pytest.mark.parametrize("damage", ["", "{}", "[1, 2", '{"image_id": 7}', '"\\ud800"'])
def test_a_damaged_record_counts_as_missing(run, inspector: Inspector, damage: str) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    hurt = _doubtful(rows)[0]
    evidence_file(folder, hurt.image_id).write_text(damage)
    assert missing_evidence(rows, folder)[0].image_id == hurt.image_id


def test_a_record_that_names_a_file_elsewhere_is_not_read(run, inspector: Inspector) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    row = _doubtful(rows)[0]
    path = evidence_file(folder, row.image_id)
    told = json.loads(path.read_text())
    told["reasons"][0]["overlay"] = "../../secret.png"
    path.write_text(json.dumps(told))
    assert read_record(folder, row.image_id) is None
    assert read_record(folder, "../" + row.image_id) is None


def test_links_out_of_the_run_are_not_followed(run, inspector: Inspector, tmp_path: Path) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    row = _doubtful(rows)[0]
    outside = tmp_path / "outside.png"
    os.replace(folder / str(row.relpath), outside)
    (folder / str(row.relpath)).symlink_to(outside)
    explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    assert evidence_of(folder, row) is None


def test_a_new_policy_makes_new_evidence_and_takes_away_that_of_accepted_pictures(
    run, inspector: Inspector, tmp_path: Path
) -> None:
    made, rows = run
    folder = Path(made.out_dir)
    explain_rows(missing_evidence(rows, folder), folder, inspector, lambda one: None)
    profile = json.loads(Path(PROFILE).read_text())
    for rule in profile["detectors"].values():
        rule["ceiling"] = None
    (tmp_path / "mild.json").write_text(json.dumps(profile))
    store = open_store(f"sqlite:///{tmp_path}/qcgen.db")
    rejudge(made, store, load_policy(str(tmp_path / "mild.json")))
    judged = list(store.rows(made.run_id))
    store.close()
    missing_evidence(judged, folder)
    assert {path.stem for path in (folder / EVIDENCE).glob("*.json")} <= {row.image_id for row in _doubtful(judged)}
    assert len(_doubtful(judged)) < len(_doubtful(rows))
