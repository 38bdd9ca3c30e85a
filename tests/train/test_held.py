"""A distillation and a training are alone in their folder."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from qcgen.core.events import EVENTS_FILE
from qcgen.core.trainspec import ClipTraining
from qcgen.pipeline.distill import run_distillation
from qcgen.pipeline.hold import LOCK_FILE, HeldFolderError, hold_folder
from qcgen.pipeline.train import run_training
from tests.train.tinychain import distil, distillation

_TOLD = r"out: another qcgen works in .*Cure"


def _quiet(_: object) -> None:
    return


def test_a_second_start_of_a_distillation_is_refused_with_and_without_resume(chain: Path, tiny_set: Path) -> None:
    spec = distillation(chain, tiny_set, steps=3, out="held")
    tried: list[bool] = []

    def start_another(event: Mapping[str, object]) -> None:
        if event["event"] == "step" and len(tried) < 2:
            before = (spec.out / EVENTS_FILE).read_bytes()
            tried.append(len(tried) == 1)
            with pytest.raises(HeldFolderError, match=_TOLD):
                distil(spec, resume=tried[-1])
            assert (spec.out / EVENTS_FILE).read_bytes() == before

    run_distillation(spec, resume=False, device="cpu", say=_quiet, tell=start_another)
    assert tried == [False, True]
    distil(spec, resume=True)


def test_a_training_is_refused_before_it_writes_anything(tiny_set: Path, tmp_path: Path) -> None:
    spec = ClipTraining.model_validate(
        {
            "version": 1,
            "kind": "clip",
            "name": "c",
            "out": tmp_path,
            "data": {"path": tiny_set},
            "optim": {"lr": 1e-3, "batch": 8, "steps": 1},
            "threads": 1,
        }
    )
    with hold_folder(tmp_path, key="out", say=_quiet), pytest.raises(HeldFolderError, match=_TOLD):
        run_training(spec, say=_quiet)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]
