"""A run judged by another student's calibration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.core.errors import PrerequisiteError
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
    rejudge(run, store, replace(policy, teacher_digest=asked))
    with pytest.raises(PrerequisiteError, match=r"teacher: .* calibrated with another"):
        rejudge(run, store, replace(policy, teacher_digest="another"))
    store.close()
