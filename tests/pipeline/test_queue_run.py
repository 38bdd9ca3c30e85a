"""A batch judged by the false share of its queue."""

from dataclasses import replace
from pathlib import Path

from qcgen.core.types import Outcome, RunInfo, Score
from qcgen.pipeline.rejudge import QUEUE, rejudge
from qcgen.qc.calibrate import calibrate
from qcgen.qc.policy import Policy, build_policy
from qcgen.qc.profile import Profile
from qcgen.qc.registry import find_detectors
from qcgen.store.sql import open_store
from tests.pipeline.toyjob import make_job, run_toy

NOISE = find_detectors()["noise"].version
PROFILE = Profile.model_validate(
    {
        "version": 1,
        "name": "toy",
        "alpha": 0.2,
        "near_duplicate_bits": 0,
        "calibration": None,
        "detectors": {"noise": {}},
    }
)


def policy_where_most_are_bad() -> Policy:
    """A reference without any noise: every picture of the toy is worse than all of it."""
    made = calibrate([(Score("noise", NOISE, -1 - i / 100),) for i in range(200)], PROFILE, source="made up")
    return build_policy(PROFILE, made, sha256="0" * 64)


def flagged(outcomes: list[Outcome]) -> int:
    return outcomes.count(Outcome.REVIEW)


def gate(run: RunInfo) -> str:
    return next(one.message for one in run.gates if one.kind == QUEUE)


def test_the_queue_follows_the_batch_and_is_told_with_the_gates(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    run = run_toy(make_job(tmp_path / "out", copies=1), store, limit=8)
    policy = policy_where_most_are_bad()
    judged = rejudge(run, store, policy, fdr=0.1)
    assert flagged([row.outcome for row in store.rows(run.run_id)]) == 8
    assert gate(judged).startswith("8 of 8 pictures are flagged by their scores, at p 0.0099")
    assert judged.policy_sha256 == policy.at(0.5, fdr=0.1).sha256 != policy.sha256
    none = replace(policy, rules=(replace(policy.rules[0], floor=1e6),))
    judged = rejudge(run, store, none, fdr=0.1)
    assert flagged([row.outcome for row in store.rows(run.run_id)]) == 0
    assert gate(judged).startswith("0 of 8")
    assert all(one.kind != QUEUE for one in rejudge(run, store, policy).gates)
    store.close()


def test_a_jobs_own_rate_is_used_at_the_end_of_its_run(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'q.db'}")
    job = make_job(tmp_path / "out", copies=1)
    job = job.model_copy(
        update={"qc": job.qc.model_copy(update={"queue": job.qc.queue.model_copy(update={"fdr": 0.2})})}
    )
    said: list[str] = []
    run = run_toy(job, store, limit=6, say=said.append)
    assert gate(run).startswith("0 of ")
    assert run_toy(job, store, limit=6, say=said.append).gates == run.gates
    assert not any("had judged it since" in line for line in said)
    judged = rejudge(run, store, policy_where_most_are_bad(), fdr=0.1)
    lost = next(row for row in store.rows(run.run_id) if row.relpath is not None)
    (tmp_path / "out" / str(lost.relpath)).unlink()
    again = run_toy(job, store, limit=6, say=said.append)
    assert again.policy_sha256 == run.policy_sha256
    assert any(f"policy {judged.policy_sha256[:12]} had judged it since" in line for line in said)
    store.close()
