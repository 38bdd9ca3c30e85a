"""A run judged by another student's calibration."""

from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.core.errors import PrerequisiteError
from qcgen.pipeline.rejudge import rejudge
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
