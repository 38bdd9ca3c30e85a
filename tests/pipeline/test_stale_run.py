"""A run judged by another student's calibration."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.cli.main import main
from qcgen.core.errors import PrerequisiteError
from qcgen.models.find import resolve_model
from qcgen.pipeline.rejudge import rejudge
from qcgen.qc.asking import asked_of
from qcgen.qc.policy import load_policy
from qcgen.qc.stale import STALE
from qcgen.store.sql import open_store
from tests.pipeline.toyjob import PROFILE, make_job, run_toy


def test_another_students_calibration_is_refused_and_allowed_it_marks_every_row(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    run = run_toy(make_job(tmp_path / "out", copies=1), store, limit=6)
    policy = replace(load_policy(PROFILE), model_digest="another")
    with pytest.raises(PrerequisiteError, match="calibrated with another"):
        rejudge(run, store, policy)
    before = [row.outcome for row in store.rows(run.run_id)]
    judged = rejudge(run, store, replace(policy, allow_stale=True))
    rows = list(store.rows(run.run_id))
    assert [row.outcome for row in rows] == before
    assert all([reason.kind for reason in row.reasons].count(STALE) == 1 for row in rows)
    assert judged.policy_sha256 != policy.sha256
    rejudge(judged, store, load_policy(PROFILE))
    assert not any(reason.kind == STALE for row in store.rows(run.run_id) for reason in row.reasons)
    store.close()


def test_stored_scores_are_held_against_the_teacher_that_the_run_had(tmp_path: Path) -> None:
    path = tmp_path / "asking.json"
    path.write_text(json.dumps(json.loads(Path(PROFILE).read_text()) | {"teacher": "embedded:teacher-apparel"}))
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    run = run_toy(make_job(tmp_path / "out", copies=1, profile=str(path)), store, limit=2)
    policy = load_policy(str(path), with_teacher=False)
    assert policy.settings.teacher is None
    assert policy.sha256 == load_policy(str(path)).sha256
    asked = asked_of(load_policy(str(path)).settings)["teacher"]
    assert run.environment["teacher_digest"] == asked
    rejudge(run, store, replace(policy, asked={"teacher": asked}))
    with pytest.raises(PrerequisiteError, match=r"teacher: .* calibrated with another"):
        rejudge(run, store, replace(policy, asked={"teacher": "another"}))
    store.close()


def test_scores_of_another_classifier_make_no_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asking, later = tmp_path / "asking.json", tmp_path / "later.json"
    body = json.loads(Path(PROFILE).read_text()) | {"classifier": "embedded:classifier-apparel", "calibration": None}
    asking.write_text(json.dumps(body))
    url = f"sqlite:///{tmp_path / 'q.db'}"
    store = open_store(url)
    run = run_toy(make_job(tmp_path / "out", copies=1, profile=str(asking)), store, limit=2)
    assert run.environment["classifier_digest"] == asked_of(load_policy(str(asking)).settings)["classifier"]
    store.close()
    own = tmp_path / "own"
    shutil.copytree(resolve_model("embedded:classifier-apparel").folder, own)
    (own / "classifier.json").write_text((own / "classifier.json").read_text().replace("undershirt", "vest"))
    later.write_text(json.dumps(body | {"classifier": "own"}))
    assert main(["calibrate", run.run_id, "--profile", str(later), "--db", url]) == 3
    assert "its scores are of other models than the profile names now. classifier: " in capsys.readouterr().err
