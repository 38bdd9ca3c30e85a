"""The review queue: who is asked what about a run, the same again whenever it is asked, and blind."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from scipy.stats import mannwhitneyu

from qcgen.core.job import GateSpec, JobSpec, ReviewSpec
from qcgen.core.review import Answer, Choice, Kind, Role, State, Task, TaskDraft, User
from qcgen.core.types import Outcome, RunInfo, Severity
from qcgen.pipeline.batchgates import Survey
from qcgen.pipeline.rejudge import rejudge
from qcgen.pipeline.reviewplan import Candidate, plan_review, plan_tasks
from qcgen.pipeline.seeds import FOLDER
from qcgen.qc.policy import load_policy
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import make_job, run_toy

REVIEW = ReviewSpec()


def candidate(index: int, outcome: Outcome, **changes: object) -> Candidate:
    product = ("dress", "shirt", "hat")[index % 3]
    plain = Candidate(
        f"{index:032x}", product, outcome, True, f"images/{index}.png", "f" * 64, index / 1000, "blur", False, False
    )
    return replace(plain, **changes)


def plan(found: list[Candidate], review: ReviewSpec = REVIEW, *, people: int = 2) -> list[TaskDraft]:
    seen = Survey(passed={one.image_id: one.stratum for one in found if one.outcome is Outcome.ACCEPT})
    return plan_tasks("run", found, seen, GateSpec(), review, people=people)


def night(flagged: int = 60, passed: int = 940) -> list[Candidate]:
    return [
        candidate(index, Outcome.REVIEW if index < flagged else Outcome.ACCEPT) for index in range(flagged + passed)
    ]


def test_all_flagged_and_five_per_cent_of_the_accepted_are_asked_about() -> None:
    made = Counter(one.kind for one in plan(night()))
    assert made[Kind.FLAGGED] == 60
    assert made[Kind.AUDIT] == 47
    audits = [one for one in plan(night()) if one.kind is Kind.AUDIT]
    assert sum(1 / one.inclusion_p for one in audits) == pytest.approx(940)
    assert {one.code for one in audits} == {""}
    assert len([one for one in plan(night(0, 40)) if one.kind is Kind.AUDIT]) == 3, "one of each product"
    assert not [one for one in plan(night(), ReviewSpec(audit_sample=0)) if one.kind is Kind.AUDIT]
    assert sum(one.kind is Kind.AUDIT for one in plan(night(), ReviewSpec(audit_sample=500))) == 500


def test_second_looks_need_two_people_and_take_all_critical_ones_and_a_share() -> None:
    critical = [candidate(5000 + i, Outcome.REVIEW, code="part") for i in range(20)]
    doubles = [one for one in plan([*night(400), *critical]) if one.kind is Kind.DOUBLE]
    by_lot = [one for one in doubles if one.inclusion_p == 0.1]
    assert len(doubles) - len(by_lot) == 20
    # 447 are drawn from with p = 0.1: 45 +- 4 standard deviations.
    assert 20 <= len(by_lot) <= 70
    assert not [one for one in plan([*night(400), *critical], people=1) if one.kind is Kind.DOUBLE]
    assert not [one for one in plan(critical, ReviewSpec(double=0)) if one.kind is Kind.DOUBLE]


def test_the_place_in_the_queue_does_not_tell_what_a_task_is() -> None:
    made = plan(night(400))
    costs = {kind: [one.cost for one in made if one.kind is kind] for kind in (Kind.FLAGGED, Kind.AUDIT, Kind.DOUBLE)}
    for kind in (Kind.AUDIT, Kind.DOUBLE):
        assert len(costs[kind]) > 25
        assert mannwhitneyu(costs[Kind.FLAGGED], costs[kind]).pvalue > 0.01


def test_rejected_pictures_are_asked_about_where_the_job_says_so() -> None:
    found = [candidate(1, Outcome.REJECT), candidate(2, Outcome.REVIEW, current=False)]
    assert plan(found) == []
    assert [one.kind for one in plan(found, ReviewSpec(rejected=True, double=0))] == [Kind.FLAGGED]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobSpec]:
    folder = tmp_path_factory.mktemp("plan")
    store = open_store(f"sqlite:///{folder / 'toy.db'}")
    job = make_job(folder / "out", copies=4)
    run_toy(job, store)
    store.close()
    return folder, job


@pytest.fixture
def store(toy: tuple[Path, JobSpec], tmp_path: Path) -> Iterator[SqlStore]:
    """A copy of the finished run's database; its folder is shared."""
    shutil.copy(toy[0] / "toy.db", tmp_path / "toy.db")
    opened = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    yield opened
    opened.close()


def tasks(store: SqlStore, kind: Kind | None = None, state: State = State.OPEN) -> list[Task]:
    found = store.review.tasks(None, limit=5000)
    return [one for one in found if one.state is state and kind in (None, one.kind)]


def the_run(store: SqlStore) -> RunInfo:
    return store.runs()[0]


def answer(store: SqlStore, task: Task, choice: Choice, who: str = "ada") -> None:
    code = "blur" if choice is Choice.REJECT else ""
    store.review.decide(who, [Answer(task.id, task.revision, task.file_sha256, choice, code)])


def test_a_finished_run_has_its_queue_and_planning_again_changes_nothing(store: SqlStore) -> None:
    rows = list(store.rows(the_run(store).run_id))
    accepted = {row.image_id for row in rows if row.outcome is Outcome.ACCEPT}
    assert {one.image_id for one in tasks(store, Kind.FLAGGED)} == {
        row.image_id for row in rows if row.outcome is Outcome.REVIEW
    }
    audits = tasks(store, Kind.AUDIT)
    assert {one.image_id for one in audits} <= accepted
    assert len(audits) >= 3
    assert len(tasks(store, Kind.SEED)) == 1
    before = tasks(store)
    assert plan_review(the_run(store), store) == ()
    assert tasks(store) == before


def test_a_seed_is_a_spoiled_copy_that_no_row_knows(store: SqlStore, toy: tuple[Path, JobSpec]) -> None:
    (seed,) = tasks(store, Kind.SEED)
    out = toy[0] / "out"
    rows = {row.image_id: row for row in store.rows(the_run(store).run_id, every_attempt=True)}
    assert seed.image_id not in rows
    assert seed.source_id is not None
    source = rows[seed.source_id]
    assert source.outcome is Outcome.ACCEPT
    assert seed.relpath.startswith(FOLDER)
    assert hashlib.sha256((out / seed.relpath).read_bytes()).hexdigest() == seed.file_sha256
    with PIL.Image.open(out / seed.relpath) as spoiled, PIL.Image.open(out / str(source.relpath)) as clean:
        assert spoiled.size == clean.size
        assert np.abs(np.asarray(spoiled, float) - np.asarray(clean, float)).max() > 8
    assert seed.code


def test_people_who_join_later_get_their_second_looks(store: SqlStore) -> None:
    assert tasks(store, Kind.DOUBLE) == []
    for name in ("ada", "bob"):
        store.review.add_user(User(name, Role.REVIEWER, None))
    store.review.add_user(User("max", Role.MANAGER, None))
    job = JobSpec.model_validate_json(the_run(store).spec_json)
    everybody = job.model_copy(update={"review": ReviewSpec(double=1.0)})
    plan_review(replace(the_run(store), spec_json=everybody.model_dump_json()), store)
    looked_at = {one.image_id for one in (*tasks(store, Kind.FLAGGED), *tasks(store, Kind.AUDIT))}
    assert {one.image_id for one in tasks(store, Kind.DOUBLE)} == looked_at


def test_new_verdicts_cancel_and_add_tasks_and_keep_what_was_decided(
    store: SqlStore, toy: tuple[Path, JobSpec]
) -> None:
    audits = tasks(store, Kind.AUDIT)
    answer(store, audits[0], Choice.ACCEPT)
    policy = load_policy(toy[1].qc.profile)
    strict = replace(policy, rules=tuple(replace(one, ceiling=0.0, floor=None) for one in policy.rules))
    rejudge(the_run(store), store, strict)
    assert not any(row.outcome is Outcome.ACCEPT for row in store.rows(the_run(store).run_id))
    assert tasks(store, Kind.AUDIT) == []
    assert len(tasks(store, Kind.AUDIT, State.CANCELLED)) == len(audits) - 1
    assert [one.id for one in tasks(store, Kind.AUDIT, State.DONE)] == [audits[0].id]
    rejudge(the_run(store), store, policy)
    assert {one.id for one in tasks(store, Kind.AUDIT)} == {one.id for one in audits[1:]}


def test_a_picture_made_on_request_is_asked_about_and_its_predecessor_stays_in_the_sample(
    tmp_path: Path,
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    job = make_job(tmp_path / "out", copies=1)
    run = run_toy(job, store)
    audits = tasks(store, Kind.AUDIT)
    answer(store, audits[0], Choice.REGENERATE)
    run_toy(job, store)
    made = store.review.replacements(run.run_id)[audits[0].image_id]
    assert made in {one.image_id for one in tasks(store, Kind.FLAGGED)}
    assert {one.image_id for one in tasks(store, Kind.AUDIT)} == {one.image_id for one in audits[1:]}
    store.close()


def test_a_run_whose_pictures_are_gone_is_planned_without_seeds(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    job = make_job(tmp_path / "out", copies=1)
    none = job.model_copy(update={"review": ReviewSpec(seeds=0)})
    run = run_toy(none, store)
    assert tasks(store, Kind.SEED) == []
    shutil.rmtree(tmp_path / "out" / "images")
    (lost,) = plan_review(replace(run, spec_json=job.model_dump_json()), store)
    assert tasks(store, Kind.SEED) == []
    assert (lost.severity, lost.value) == (Severity.WARN, 1.0)
    assert lost.message.startswith("1 known defect could not be planted in the review queue")
    store.close()
