"""A whole run on the toy student, with the real store and the real checks."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from sqlalchemy import select

from qcgen.cli.summary import read_summary, summary_text
from qcgen.core.errors import IntegrityError, PausedError, SpecError
from qcgen.core.expand import expand
from qcgen.core.job import JobSpec
from qcgen.core.types import Outcome, Produced, Row, RunInfo, Severity, Shard
from qcgen.models.families.toy import ToyStudent
from qcgen.pipeline.progress import Progress
from qcgen.pipeline.rejudge import rejudge
from qcgen.pipeline.retry import HEALED, NON_FINITE
from qcgen.qc.policy import load_policy
from qcgen.store.schema import audit_event
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import PROFILE, make_job, run_toy


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'runs.db'}")
    yield opened
    opened.close()


def facts(row: Row) -> tuple[object, ...]:
    """All that must not depend on how often the program was started."""
    measures = tuple(sorted(row.measures.items()))
    kinds = tuple(reason.kind for reason in row.reasons)
    return (
        row.item_index,
        row.attempt,
        row.image_id,
        row.seed,
        row.file_sha256,
        row.relpath,
        row.outcome,
        kinds,
        measures,
    )


def every(store: SqlStore, run: RunInfo) -> list[tuple[object, ...]]:
    return [facts(row) for row in store.rows(run.run_id, every_attempt=True)]


def files_in(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in (out / "images").rglob("*") if path.is_file()}


def seeds(job: JobSpec) -> list[int]:
    student = ToyStudent.reference(job.model)
    expansion = expand(job, Path("toy.yaml"), model_digest=student.digest, size_px=32)
    return [expansion.item(index).seed for index in range(len(expansion))]


def test_a_run_leaves_every_file_whole_and_recorded(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    run = run_toy(job, store)
    rows = list(store.rows(run.run_id, every_attempt=True))
    assert (run.status, run.planned) == ("complete", 72)
    assert {row.item_index for row in rows if row.current} == set(range(72))
    assert files_in(tmp_path / "out") == {row.relpath for row in rows}
    for row in rows:
        data = (tmp_path / "out" / str(row.relpath)).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (row.file_sha256, row.bytes)
        image = PIL.Image.open(BytesIO(data))
        assert image.size == (32, 32)
        assert "trainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]
        assert row.image_id in image.info["XML:com.adobe.xmp"]
        assert row.thumbnail is not None
    assert store.card(run.model_digest) == replace(ToyStudent.reference(job.model).card, notes={})


def test_files_hold_the_pixels_that_the_student_makes_for_the_seed(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    run = run_toy(job, store)
    student = ToyStudent(ToyStudent.reference(job.model))
    for row in list(store.rows(run.run_id))[::17]:
        noise = torch.randn(student.latent_shape, generator=torch.Generator().manual_seed(row.seed))[None]
        pixels = student.decode(student.generate(noise, student.embed([row.prompt])))[0]
        expected = (pixels.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        found = np.asarray(PIL.Image.open(tmp_path / "out" / str(row.relpath)), dtype=float)
        # One level: the same picture made alone and in a batch of 8.
        assert np.abs(found - expected).max() <= 1


def test_stages_are_timed(store: SqlStore, tmp_path: Path) -> None:
    run = run_toy(make_job(tmp_path / "out"), store, report=lambda info: tmp_path / "index.html")
    assert {"embed", "generate", "decode", "qc", "encode", "write", "store", "report"} <= run.seconds_by_stage.keys()
    assert run.seconds > 0
    assert run.report == str(tmp_path / "index.html")


def test_second_start_generates_nothing_and_returns_the_run(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    report = tmp_path / "index.html"
    report.write_text("report")
    first = run_toy(job, store, report=lambda info: report)
    before = every(store, first)
    told: list[Progress] = []
    student = ToyStudent(ToyStudent.reference(job.model))
    second = run_toy(job, store, student=student, progress=told.append, report=lambda info: report)
    assert student.calls == []
    assert second == first
    assert every(store, second) == before
    assert (told[-1].phase, told[-1].done, told[-1].generated) == ("finish", 72, 0)


def test_a_start_after_another_policys_judgement_judges_all_by_the_jobs_own(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    first = run_toy(job, store)
    before = [(row.image_id, row.outcome) for row in store.rows(first.run_id)]
    strict = json.loads(Path(PROFILE).read_text())
    strict["detectors"]["blur"]["ceiling"] = 0.2
    (tmp_path / "strict.json").write_text(json.dumps(strict))
    judged = rejudge(first, store, load_policy(str(tmp_path / "strict.json")))
    assert [(row.image_id, row.outcome) for row in store.rows(first.run_id)] != before
    lost = next(row for row in store.rows(first.run_id) if row.relpath is not None)
    (tmp_path / "out" / str(lost.relpath)).unlink()
    said: list[str] = []
    again = run_toy(job, store, say=said.append)
    assert judged.policy_sha256 != again.policy_sha256 == first.policy_sha256
    assert [(row.image_id, row.outcome) for row in store.rows(first.run_id)] == before
    assert any(f"policy {judged.policy_sha256[:12]} had judged it since" in line for line in said)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 8}, "items.seed: 7 -> 8"),
        ({"prompt": "{colour} {product}"}, "items.prompt"),
        ({"copies": 5}, "items.images_per_item: 4 -> 5"),
        ({"name": "other-night"}, "job 'toy-night'"),
    ],
)
def test_changed_job_in_the_same_folder_is_refused_with_what_changed(
    change: dict[str, object], line: str, store: SqlStore, tmp_path: Path
) -> None:
    run = run_toy(make_job(tmp_path / "out"), store)
    before = every(store, run)
    with pytest.raises(SpecError) as caught:
        run_toy(make_job(tmp_path / "out", **change), store)  # type: ignore[arg-type]
    assert line in str(caught.value)
    assert "Cure:" in str(caught.value)
    assert every(store, run) == before


def test_same_job_in_another_folder_gives_the_same_files(store: SqlStore, tmp_path: Path) -> None:
    first = run_toy(make_job(tmp_path / "a"), store)
    second = run_toy(make_job(tmp_path / "b"), store)
    assert first.run_id != second.run_id
    assert every(store, first) == every(store, second)


def test_shard_and_batch_sizes_do_not_change_noise_or_names(store: SqlStore, tmp_path: Path) -> None:
    first = run_toy(make_job(tmp_path / "a"), store)
    second = run_toy(make_job(tmp_path / "b", shard_size=7, batch_size=3), store)
    pick = [
        (row.item_index, row.seed, row.relpath, row.image_id) for row in store.rows(first.run_id) if row.attempt == 1
    ]
    other = {row.item_index: (row.item_index, row.seed, row.relpath, row.image_id) for row in store.rows(second.run_id)}
    assert pick
    assert all(one == other[int(one[0])] for one in pick if one[0] in other)


def test_limit_makes_the_first_items_only(store: SqlStore, tmp_path: Path) -> None:
    run = run_toy(make_job(tmp_path / "out"), store, limit=20)
    assert run.planned == 20
    assert {row.item_index for row in store.rows(run.run_id)} == set(range(20))


def test_lost_and_damaged_files_are_made_again_byte_for_byte(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    run = run_toy(job, store)
    before = every(store, run)
    names = sorted(files_in(tmp_path / "out"))
    (tmp_path / "out" / names[0]).unlink()
    (tmp_path / "out" / names[-1]).write_bytes(b"cut")
    told: list[Progress] = []
    again = run_toy(job, store, progress=told.append)
    assert again.status == "complete"
    assert every(store, again) == before
    assert 0 < told[-1].generated < 72
    assert files_in(tmp_path / "out") == set(names)


def test_left_over_parts_and_unrecorded_files_go_and_strangers_stay(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    run = run_toy(job, store)
    row = next(row for row in store.rows(run.run_id) if row.attempt == 1)
    folder = (tmp_path / "out" / str(row.relpath)).parent
    item = expand(job, Path("toy.yaml"), model_digest=run.model_digest, size_px=32).item(row.item_index, 2)
    left_over = folder / f"{item.index:06d}-{item.seed}.png"
    stranger = folder / "notes.txt"
    for path in (folder / "000000-1.png.part", left_over, stranger):
        path.write_text("x")
    run_toy(job, store)
    assert sorted(path.name for path in (folder / "000000-1.png.part", left_over, stranger) if path.exists()) == [
        "notes.txt"
    ]


def test_planted_nan_is_tried_in_float32_and_then_failed_without_a_file(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    sick = seeds(job)[10]
    run = run_toy(job, store, faults={sick: "always"})
    (row,) = [row for row in store.rows(run.run_id, every_attempt=True) if row.item_index == 10]
    assert (row.outcome, row.error, row.relpath, row.bytes) == (Outcome.FAILED, NON_FINITE, None, 0)
    assert [reason.kind for reason in row.reasons] == [NON_FINITE]
    assert not [name for name in files_in(tmp_path / "out") if f"-{sick}." in name]
    assert any(gate.kind == "gate_failed_items" and gate.severity is Severity.BLOCK for gate in run.gates)


def test_nan_of_half_precision_alone_is_healed_with_the_same_seed(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")
    ref = ToyStudent.reference(job.model)
    sick = seeds(job)[10]
    half = ToyStudent(ref, dtype=torch.bfloat16, faults={sick: "half"})
    run = run_toy(job, store, student=half, precise=lambda: ToyStudent(ref, faults={sick: "half"}))
    first = next(row for row in store.rows(run.run_id, every_attempt=True) if row.item_index == 10)
    assert (first.seed, first.error) == (sick, None)
    assert first.relpath is not None
    assert HEALED in [reason.kind for reason in first.reasons]


def test_a_student_that_always_makes_one_picture_ships_it_once(store: SqlStore, tmp_path: Path) -> None:
    class Collapsed(ToyStudent):
        def generate(self, noise: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
            return super().generate(torch.zeros_like(noise), torch.ones_like(cond))

    profile = tmp_path / "plain.json"
    told = {"version": 1, "name": "plain", "alpha": 0.02, "near_duplicate_bits": 0, "calibration": None}
    profile.write_text(json.dumps(told | {"detectors": {"blank": {"importance": 0}}}))
    job = make_job(tmp_path / "out", profile=str(profile))
    run = run_toy(job, store, student=Collapsed(ToyStudent.reference(job.model)))
    kinds = [{reason.kind for reason in row.reasons} for row in store.rows(run.run_id)]
    # The files differ, because each names its own image; their pixels do not.
    assert len({row.file_sha256 for row in store.rows(run.run_id)}) == 72
    assert sum("exact_duplicate" in found for found in kinds) == 71
    assert sum(row.outcome is Outcome.REJECT for row in store.rows(run.run_id)) == 71


def test_a_run_elsewhere_in_the_folder_is_waited_for(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")

    def start_another(progress: Progress) -> None:
        if progress.phase == "work":
            run_toy(job, store)

    with pytest.raises(PausedError, match="another qcgen works"):
        run_toy(job, store, progress=start_another)


def test_a_shard_that_another_runner_took_over_ends_the_run_and_counts_for_nothing(tmp_path: Path) -> None:
    class Taken(SqlStore):
        def record(self, run_id: str, shard: Shard, token: int, produced: Sequence[Produced]) -> bool:
            return super().record(run_id, shard, token - 1 if shard.number == 2 else token, produced)

    store = Taken(open_store(f"sqlite:///{tmp_path / 'taken.db'}").database)
    with pytest.raises(IntegrityError, match=r"shard 2 was taken over by another runner.*Cure"):
        run_toy(make_job(tmp_path / "out"), store)
    (run,) = store.runs()
    assert run.status == "failed"
    assert store.done_shards(run.run_id) == {0, 1}
    assert files_in(tmp_path / "out") == {row.relpath for row in store.rows(run.run_id, every_attempt=True)}


def test_batches_that_memory_made_smaller_are_said_and_kept_in_the_runs_record(store: SqlStore, tmp_path: Path) -> None:
    job, said = make_job(tmp_path / "out"), list[str]()

    def short() -> ToyStudent:
        return ToyStudent(ToyStudent.reference(job.model), memory=3)

    def stop(progress: Progress) -> None:
        if progress.done:
            raise PausedError("planted")

    torch.set_num_threads(1)
    with pytest.raises(PausedError, match="planted"):
        run_toy(job, store, student=short(), progress=stop, say=said.append)
    assert len(said) == 4, "4 and then 2 pictures, where latents are made and where they are decoded"
    assert "memory: batches at generate must be smaller to fit (got 8): 4 from now on. Single pixels may" in said[0]
    assert "engine.batch_size: 4 with engine.exact: true" in said[0]
    # The second start has memory enough; what the first one drew stays drawn so.
    run = run_toy(job, store, say=said.append)
    assert len(said) == 4
    caps = {"batch_cap_decode": "2", "batch_cap_generate": "2"}
    assert {key: run.environment[key] for key in caps} == caps
    assert "Memory made batches smaller (decode 2, generate 2)" in summary_text(read_summary(store, run))
    with store.database.read() as connection:
        told = (
            connection.execute(select(audit_event.c.body).where(audit_event.c.action == "run.memory")).scalars().all()
        )
    assert [json.loads(body) for body in told] == [{key: cap} for key in reversed(caps) for cap in ("4", "2")]


def test_error_in_the_middle_leaves_no_file_of_the_open_shard(store: SqlStore, tmp_path: Path) -> None:
    job = make_job(tmp_path / "out")

    class BrokenError(Exception):
        pass

    def break_off(progress: Progress) -> None:
        if progress.generated >= 24:
            raise BrokenError

    with pytest.raises(BrokenError):
        run_toy(job, store, progress=break_off)
    (run,) = store.runs()
    assert run.status == "failed"
    assert files_in(tmp_path / "out") == {row.relpath for row in store.rows(run.run_id, every_attempt=True)}
    again = run_toy(job, store)
    assert every(store, again) == every(store, run_toy(make_job(tmp_path / "undisturbed"), store))
