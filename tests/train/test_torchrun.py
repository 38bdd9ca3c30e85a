"""`torchrun` starts a distillation in several processes and ends it, one goes on; what cannot be shared out is
refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qcgen.cli.main import main
from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PausedError, SpecError
from qcgen.core.events import read_events
from qcgen.pipeline.distill import prepare, run_distillation
from tests.train.test_families import make_spec
from tests.train.tinyfamilies import tiny_family

_TIMEOUT_S = 900.0
"""Generous: three processes import torch, and a machine under load needs minutes for it."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_family("toy", tmp_path_factory.mktemp("torchrun") / "toy")


def toy_spec(toy: Path, tiny_set: Path, out: Path, *, steps: int = 100_000, **optim: object) -> DistillSpec:
    changes: dict[str, object] = {"batch": 4, "steps": steps, "precision": "float32", **optim}
    return make_spec(toy, tiny_set, out, optim=changes, monitor={"every": 1, "probe_every": 50}, checkpoint_every=500)


def test_sigterm_to_torchrun_stops_both_processes_and_one_goes_on(toy: Path, tiny_set: Path, tmp_path: Path) -> None:
    spec = toy_spec(toy, tiny_set, tmp_path / "out")
    job, log, told = tmp_path / "job.yaml", spec.out / "events.jsonl", tmp_path / "told.txt"
    YAML(typ="safe").dump(spec.model_dump(mode="json", exclude_defaults=True), job)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "qcgen.cli.main", "distill", str(job), "--device", "cpu"]
    with told.open("w") as file:
        launcher = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"})
        deadline = time.monotonic() + _TIMEOUT_S
        while not log.is_file() or log.read_bytes().count(b"\n") < 5:
            assert launcher.poll() is None, told.read_text()
            assert time.monotonic() < deadline, told.read_text()
            time.sleep(0.02)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(_TIMEOUT_S) != 0
    events = read_events(log)
    assert events[0]["processes"] == 2
    assert events[-1]["event"] == "checkpoint", told.read_text()
    stopped_at = events[-1]["mark"]
    assert (spec.out / "report.html").is_file()
    assert told.read_text().count("Stopped by SIGTERM") == 1

    def tell(event: Mapping[str, object]) -> None:
        if event["event"] == "step":
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(PausedError, match="Stopped by SIGTERM"):
        run_distillation(spec, resume=True, device="cpu", say=lambda _: None, tell=tell)
    resumed, step, checkpoint = read_events(log)[-3:]
    assert (resumed["event"], resumed["mark"]) == ("resume", stopped_at)
    assert "processes" not in resumed
    assert step["event"] == "step"
    assert checkpoint["mark"] == stopped_at + 1  # type: ignore[operator]


def test_a_batch_that_cannot_be_shared_out_is_refused_with_a_cure(toy: Path, tiny_set: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"optim.batch: must be a multiple .* 3 x 1 \(got 4\)\. Cure: 3 or 6"):
        prepare(toy_spec(toy, tiny_set, tmp_path), say=lambda _: None, world=3)
    with pytest.raises(SpecError, match=r"optim.batch: .* 2 x 4 \(got 4\)\. Cure: 8 or 16"):
        prepare(toy_spec(toy, tiny_set, tmp_path, accumulate=4), say=lambda _: None, world=2)


def test_sharding_by_one_process_or_with_adapters_is_refused_with_a_cure(
    toy: Path, tiny_set: Path, tmp_path: Path
) -> None:
    spec = toy_spec(toy, tiny_set, tmp_path, sharding="full", lora={"rank": 2})
    with pytest.raises(SpecError) as caught:
        prepare(spec, say=lambda _: None)
    several, adapters = caught.value.problems
    assert several.startswith("optim.sharding: full must have several processes (got 1). Cure: torchrun")
    assert adapters.startswith("optim.sharding: full must be without optim.lora")


def test_commands_that_work_alone_refuse_several_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("TORCHELASTIC_RUN_ID", "none")):
        monkeypatch.setenv(name, value)
    assert main(["pilot", "job.yaml"]) == 2
    assert (
        "torchrun: qcgen pilot works in one process (got 2). Cure: start it without torchrun."
        in capsys.readouterr().err
    )
