"""Several processes train one student: the same numbers as one alone, one set of files, and one end for all."""

import re
import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch

from qcgen.core.errors import PausedError
from qcgen.core.events import read_events, rows_of
from qcgen.distill.ranks import Ranks
from qcgen.distill.trainer import Hooks
from qcgen.models.checkpoint import load_state
from tests.distill.processes import FailedError, run_together
from tests.distill.toynet import make_spec, make_trainer

_PATIENCE = timedelta(seconds=20)
# Every stage and both of a step's gradients, probes that add updates, and statistics that a normaliser reads.
FULL: dict[str, object] = {
    "pairs": {"count": 64, "steps": 2},
    "fake": {"updates": "auto", "start": 2},
    "gan": {"weight": 0.05, "data": "both"},
    "normaliser": "batch_bin",
}


class _PauseAt:
    """A stop request that comes at the n-th look."""

    def __init__(self, turn: int) -> None:
        self.left = turn

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PausedError("stop here")


def _never() -> None:
    return


def _train(
    ranks: Ranks, folder: Path, *, changes: Mapping[str, object] = FULL, pause: int | None = None, at_rank: int = 0
) -> None:
    torch.set_num_threads(1)
    check = _PauseAt(pause) if pause is not None and ranks.rank == at_rank else _never
    evaluate = (lambda generate: {"distance": _far(generate), "error": 0.1}) if ranks.first else None
    spec = make_spec(folder, **{"eval": {"every": 4}, **changes})  # type: ignore[arg-type]
    hooks = Hooks(tell=lambda event: print(event["event"]), check=check, evaluate=evaluate)
    outcome = make_trainer(spec, hooks, ranks).run()
    print(outcome.reason)


def _far(generate: object) -> float:
    assert callable(generate)
    made = generate(torch.ones(4, 2, 1, 1), torch.zeros(4, 1, 4))
    return float(made.square().mean())


def _breaks(ranks: Ranks, folder: Path, *, how: str) -> None:
    left = 5

    def check() -> None:
        nonlocal left
        left -= 1
        if left < 0 and ranks.rank == 1:
            if how == "silent":
                time.sleep(2 * _PATIENCE.total_seconds())
            raise RuntimeError("planted")

    trainer = make_trainer(make_spec(folder), Hooks(tell=lambda event: None, check=check), ranks)
    if how == "in a step" and ranks.rank == 1:
        trainer.weighting = _Broken()
    trainer.run()


class _Broken:
    """A weighting that fails inside a step."""

    def weight(self, log_ratio: torch.Tensor, *, progress: float, log_snr: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("planted")


def tensors(state: object, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every tensor of a nested state, by its path."""
    if isinstance(state, torch.Tensor):
        return {prefix: state}
    nodes = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {name: one for key, node in nodes for name, one in tensors(node, f"{prefix}/{key}").items()}


def assert_same_end(one: Path, other: Path, *, exact: bool = True) -> None:
    """Checkpoints that agree, every parameter, moment and statistic of them, and logs that do.

    To be held against one process with twice the accumulation: both add the same parts up. Where they add them in
    another order (not `exact`), Adam makes a whole step of a gradient that is nothing but rounding.
    """
    first, second = (load_state(folder / "checkpoint.safetensors") for folder in (one, other))
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    for key in ("stage", "step", "mark"):
        assert first[key] == second[key]
    ends = [tensors(state) for state in (first, second)]
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        mine, its = value.double(), ends[1][name].double()
        far = (mine - its).abs().max() if exact else (mine - its).norm() / mine.norm().clamp(min=1e-12)
        assert float(far) < (1e-6 if exact else 2e-3), name
    assert torch.equal(ends[0]["/generator"], ends[1]["/generator"])
    for kind in ("pairs", "warmup", "step", "evaluation"):
        rows = [rows_of(read_events(folder / "events.jsonl"), kind) for folder in (one, other)]
        assert len(rows[0]) == len(rows[1]) > 0
        for mine, its in zip(*rows, strict=True):
            # What the lag is told from is a small difference of two losses.
            numbers = [key for key, value in mine.items() if isinstance(value, float) and key != "time_s"]
            assert {key: its[key] for key in numbers} == pytest.approx(
                {key: mine[key] for key in numbers}, rel=1e-3 if exact else 1e-2, abs=1e-6 if exact else 1e-3
            )


def _halved(world: int, accumulate: int = 1) -> dict[str, object]:
    """The job of so many processes that add up the same parts as two with `accumulate`."""
    return {**FULL, "optim": {"accumulate": accumulate * 2 // world}}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    _train(Ranks(), folder, changes=_halved(1))
    return folder


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_train_the_student_that_one_trains(accumulate: int, alone: Path, tmp_path: Path) -> None:
    if accumulate > 1:
        alone = tmp_path / "alone"
        _train(Ranks(), alone, changes=_halved(1, accumulate))
    together = tmp_path / "together"
    told = run_together(partial(_train, changes=_halved(2, accumulate)), together)
    assert_same_end(alone, together, exact=accumulate == 1)
    # The first process alone tells and writes.
    assert "step" in told[0].split()
    assert told[1].splitlines() == ["the last step"]
    marks = [event["mark"] for event in read_events(together / "events.jsonl") if event["event"] == "checkpoint"]
    assert len(marks) == len(set(marks)) > 3


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_training_goes_on_with_another_number_of_processes(
    first: int, then: int, alone: Path, tmp_path: Path
) -> None:
    for world, pause in ((first, 9), (then, None)):
        work = partial(_train, pause=pause, changes=_halved(world))
        with pytest.raises((PausedError, FailedError), match="stop here") if pause else nullcontext():
            if world == 1:
                work(Ranks(), tmp_path)
            else:
                run_together(work, tmp_path)
    assert_same_end(alone, tmp_path)


def test_a_stop_that_one_process_is_asked_for_stops_all_at_the_same_turn(tmp_path: Path) -> None:
    with pytest.raises(FailedError) as caught:
        run_together(partial(_train, pause=7, at_rank=1), tmp_path)
    first, second = str(caught.value).split("---")
    assert "PausedError: process 1: stop here" in first
    assert re.search(r"PausedError: *$", second.strip()) or second.strip().endswith("PausedError")
    state = load_state(tmp_path / "checkpoint.safetensors")
    assert isinstance(state, dict)
    assert state["mark"] == 7


@pytest.mark.parametrize("how", ["in a check", "in a step", "silent"])
def test_a_process_that_fails_ends_the_other_with_a_message(how: str, tmp_path: Path) -> None:
    with pytest.raises(FailedError) as caught:
        run_together(partial(_breaks, how=how), tmp_path, timeout=_PATIENCE)
    message = str(caught.value)
    first = message.split("---")[0]
    if how == "in a check":
        assert "QcgenError: process 1: planted" in first
    else:
        assert "Another process of this training ended or did not answer. Cure: " in first
    if how != "silent":
        assert "RuntimeError: planted" in message.split("---")[1]


def test_parts_are_contiguous_and_gathered_in_order_and_gradients_become_their_mean(tmp_path: Path) -> None:
    run_together(_collective, tmp_path, world=3)


def _collective(ranks: Ranks, folder: Path) -> None:
    whole = torch.arange(12.0).reshape(6, 2)
    mine = ranks.part(whole)
    assert mine.tolist() == whole[2 * ranks.rank : 2 * ranks.rank + 2].tolist()
    assert torch.equal(ranks.gather(mine), whole)
    gradients = [torch.full((2, 3), float(ranks.rank)), torch.full((5,), 10.0 * ranks.rank)]
    ranks.mean_gradients(gradients)
    assert gradients[0].tolist() == [[1.0] * 3] * 2
    assert gradients[1].tolist() == [10.0] * 5
    assert ranks.means([float(ranks.rank), 1.0]) == [1.0, 1.0]
    assert ranks.told(f"from {ranks.rank}") == "from 0"
