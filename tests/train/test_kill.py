"""A distillation that is killed or asked to stop and started again ends in the same bits as one that was left alone."""

import random
import signal
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qcgen.core.events import read_events, rows_of
from tests.train.killable import Qcgen
from tests.train.tinychain import distillation

STEPS = 10
_FILES = ("student/unet/diffusion_pytorch_model.safetensors", "student/qcgen_student.json", "pairs.safetensors")


def write_job(chain: Path, tiny_set: Path, out: Path, **changes: object) -> Path:
    spec = distillation(chain, tiny_set, steps=STEPS).model_dump(mode="json", exclude_defaults=True)
    out.mkdir(parents=True, exist_ok=True)
    job = out / "job.yaml"
    fast = {"checkpoint_every": 2, "out": str(out), "monitor": {"every": 1, "probe_every": 4}}
    YAML(typ="safe").dump({**spec, **fast, **changes}, job)
    return job


def start(job: Path, *more: str) -> Qcgen:
    count = len(list(job.parent.glob("told-*.txt")))
    return Qcgen(job.parent / f"told-{count}.txt", ["distill", str(job), "--device", "cpu", *more])


def products(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in _FILES]


def story(folder: Path) -> list[dict[str, object]]:
    events = read_events(folder / "events.jsonl")
    told = [event for kind in ("pairs", "warmup", "step", "end") for event in rows_of(events, kind)]
    return [{key: value for key, value in event.items() if key not in {"seconds", "time_s"}} for event in told]


@pytest.fixture(scope="module")
def undisturbed(chain: Path, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(write_job(chain, tiny_set, folder))
    assert process.join() == 0, process.told
    return folder


def test_kill_at_random_steps_and_resume_ends_in_the_same_bits(
    undisturbed: Path, chain: Path, tiny_set: Path, tmp_path: Path
) -> None:
    job, chance, killed = write_job(chain, tiny_set, tmp_path), random.Random(20261124), 0
    log = tmp_path / "events.jsonl"
    lines = (undisturbed / "events.jsonl").read_bytes().count(b"\n")
    for _ in range(3):
        process = start(job, "--resume")
        before = log.read_bytes().count(b"\n") if log.is_file() else 0
        process.wait_for_lines(log, before + chance.randint(1, lines // 2))
        process.signal(signal.SIGKILL)
        killed += process.join() == -signal.SIGKILL
    last = start(job, "--resume")
    assert last.join() == 0, last.told
    assert killed >= 2, "the moments were too late to show anything"
    assert products(tmp_path) == products(undisturbed)
    assert story(tmp_path) == story(undisturbed)


def test_sigterm_leaves_a_checkpoint_exits_5_and_only_the_same_job_goes_on(
    undisturbed: Path, chain: Path, tiny_set: Path, tmp_path: Path
) -> None:
    job, log = write_job(chain, tiny_set, tmp_path), tmp_path / "events.jsonl"
    process = start(job)
    assert process.wait_for_lines(log, 6), process.told
    process.signal(signal.SIGTERM)
    assert process.join() == 5, process.told
    assert "Stopped by SIGTERM" in process.told
    assert rows_of(read_events(log), "checkpoint")[-1]["mark"] == read_events(log)[-1]["mark"]

    again = start(job)
    assert again.join() == 2
    assert "holds a started distillation. Cure: --resume" in again.told
    changed = start(write_job(chain, tiny_set, tmp_path, guidance_scale=3.0), "--resume")
    assert changed.join() == 2
    assert "guidance_scale changed since this checkpoint (was 2.0, is 3.0). Cure" in changed.told

    last = start(write_job(chain, tiny_set, tmp_path), "--resume")
    assert last.join() == 0, last.told
    assert products(tmp_path) == products(undisturbed)
