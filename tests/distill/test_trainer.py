"""The loop: exact resume, roll-back, evaluation, pausing, its log and what it is made from."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from qcgen.core.errors import PausedError, SpecError
from qcgen.core.events import read_events, rows_of
from qcgen.distill.checkpoint import ENCODER, Checkpoints, flat
from qcgen.distill.stop import WINDOW, Fault, NonFiniteError, best_of
from qcgen.distill.trainer import Hooks, Outcome
from qcgen.models.checkpoint import load_state
from tests.distill.toynet import make_spec, make_trainer


class _PauseAt:
    """A stop request that comes at the n-th look."""

    def __init__(self, turn: int) -> None:
        self.left = turn

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PausedError("stop")


def hooks(check: _PauseAt | None = None, **more: object) -> Hooks:
    return Hooks(tell=lambda event: None, check=check or (lambda: None), **more)  # type: ignore[arg-type]


def end_state(folder: Path) -> list[torch.Tensor]:
    """Every tensor of the last checkpoint, in order: parameters, average, optimisers, ratio, generators."""
    found: list[torch.Tensor] = []

    def walk(node: object) -> None:
        if isinstance(node, torch.Tensor):
            found.append(node)
        elif isinstance(node, dict):
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(load_state(folder / "checkpoint.safetensors"))
    return found


def story(folder: Path) -> list[Mapping[str, object]]:
    """What the log tells of the training, without clocks, restarts and checkpoints."""
    kinds = {"pairs", "warmup", "step", "evaluation", "end"}
    told = [event for event in read_events(folder / "events.jsonl") if event["event"] in kinds]
    return [{key: value for key, value in event.items() if key not in {"seconds", "time_s"}} for event in told]


@pytest.mark.parametrize("turn", [0, 1, 4, 6, 11, 14])
def test_a_paused_training_ends_bitwise_like_an_undisturbed_one(turn: int, tmp_path: Path) -> None:
    whole, parts = (
        make_spec(tmp_path / "whole", fake={"updates": "auto"}),
        make_spec(tmp_path / "parts", fake={"updates": "auto"}),
    )
    make_trainer(whole).run()
    with pytest.raises(PausedError):
        make_trainer(parts, hooks(_PauseAt(turn))).run()
    make_trainer(parts).run()
    for one, other in zip(end_state(whole.out), end_state(parts.out), strict=True):
        assert torch.equal(one, other)
    assert story(whole.out) == story(parts.out)


def test_a_pause_without_progress_keeps_the_checkpoints_before_the_last(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    for turn in (6, 0, 0):
        with pytest.raises(PausedError):
            make_trainer(spec, hooks(_PauseAt(turn))).run()
    assert Checkpoints(tmp_path, {}).read("mark") == [3, 4, 6]


def test_a_training_that_takes_over_a_start_goes_on_from_that_state_at_its_own_rates(tmp_path: Path) -> None:
    first = make_trainer(make_spec(tmp_path / "first"))
    first.turn()
    with torch.no_grad():
        for parameter in first.networks.student.parameters():  # type: ignore[attr-defined]
            parameter += 0.1
    torch.randn(3, generator=first.generator)
    second = make_trainer(make_spec(tmp_path / "second", fake={"lr": 1e-3}))
    second.take_over(first.state_dict())
    for one, other in zip(first.networks.student.parameters(), second.networks.student.parameters(), strict=True):  # type: ignore[attr-defined]
        assert torch.equal(one, other)
    assert torch.equal(torch.randn(3, generator=first.generator), torch.randn(3, generator=second.generator))
    assert (second.stage, second.step, second.mark) == (first.stage, first.step, 0)
    assert torch.equal(second.ratio.mean_ratio(), first.ratio.mean_ratio())
    assert second.networks.optimisers["fake"].param_groups[0]["lr"] == 1e-3


def test_a_training_that_goes_wrong_goes_back_halves_the_rate_and_doubles_the_updates(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, optim={"lr": 1e30, "steps": 30, "warmup": 12, "clip_norm": 1e9}, stop={"retries": 2})
    outcome = make_trainer(spec).run()
    events = read_events(spec.out / "events.jsonl")
    backs = rows_of(events, "rollback")
    assert [row["retry"] for row in backs] == [True, True, False]
    assert [row["rate_scale"] for row in backs] == [0.5, 0.25, 0.125]
    assert [row["fake_updates"] for row in backs][:2] == [4, 8]
    assert "going back did not help" in outcome.reason
    parameters = list(outcome.student.parameters())  # type: ignore[attr-defined]
    assert all(bool(parameter.isfinite().all()) for parameter in parameters)


@pytest.mark.parametrize("every", [1, 2])
def test_a_roll_back_lands_before_the_fault_although_younger_checkpoints_hold_it(every: int, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, optim={"steps": 12}, checkpoint_every=every)
    trainer = make_trainer(spec)
    while trainer.stage != "matching" or trainer.step < 7:
        trainer.turn()
    with torch.no_grad():
        for parameter in trainer.networks.student.parameters():  # type: ignore[attr-defined]
            parameter.fill_(torch.nan)
    while trainer.stage != "done":
        trainer.turn()
    (back,) = rows_of(read_events(spec.out / "events.jsonl"), "rollback")
    assert (back["since"], back["retry"]) == (7, True)
    # The newest with a step that was finite behind it.
    assert back["step"] == {1: 6, 2: 5}[every]
    assert trainer.reason == "the last step"
    student = trainer.networks.averaged_student
    assert all(bool(parameter.isfinite().all()) for parameter in student.parameters())  # type: ignore[attr-defined]


def test_checkpoints_reach_back_before_what_a_rule_may_look_at_and_no_further(tmp_path: Path) -> None:
    trainer = make_trainer(make_spec(tmp_path, optim={"steps": 70}, checkpoint_every=7))
    while trainer.stage != "done":
        trainer.turn()
        if trainer.stage != "matching" or trainer.mark % 7:
            continue
        first = trainer.mark - trainer.step
        steps = [int(str(mark)) - first for mark in trainer.checkpoints.read("mark")]
        needed = trainer.guard.looks_back_to(trainer.step)
        assert steps[-1] == trainer.step
        assert steps[0] < needed or trainer.step <= WINDOW + 7
        assert sum(step < needed for step in steps) <= 1
        assert steps[1:] == [step for step in range(-first % 7, trainer.step + 1, 7) if step > steps[0]]


def test_a_checkpoint_of_a_past_that_was_gone_back_from_is_never_read_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    for mark in (2, 4, 6):
        checkpoints.save({"mark": mark, "past": "first"}, since=0)
    # As a kill between the new state and the removal of those after it leaves it.
    left = (tmp_path / "checkpoint-4.safetensors").read_bytes()
    checkpoints.save({"mark": 3, "past": "second"}, since=0)
    (tmp_path / "checkpoint-4.safetensors").write_bytes(left)
    assert checkpoints.read("mark") == [2, 3]
    checkpoints.save({"mark": 8, "past": "second"}, since=0)
    assert checkpoints.read("past") == ["first", "second", "second"]
    assert checkpoints.load(before=8)["mark"] == 3
    assert checkpoints.load(before=1)["mark"] == 2
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("broken", "retries", "reason"), [
    (1, 1, "the last step"),
    (9, 3, "an evaluation failed: its pictures are broken, and going back did not help"),
])  # fmt: skip
def test_an_evaluation_of_pictures_that_are_not_finite_goes_back_or_ends(
    broken: int, retries: int, reason: str, tmp_path: Path
) -> None:
    calls = itertools.count()

    def evaluate(generate: object) -> dict[str, float]:
        if 2 <= next(calls) < 2 + broken:
            raise NonFiniteError("its pictures are broken")
        return {"distance": 1.0, "error": 0.1}

    spec = make_spec(tmp_path, eval={"every": 3}, checkpoint_every=1)
    trainer = make_trainer(spec, hooks(evaluate=evaluate))
    outcome = trainer.run()
    backs = rows_of(read_events(spec.out / "events.jsonl"), "rollback")
    # The third evaluation, of step 9, failed: the state of step 6 was measured and is good.
    assert [(back["step"], back["since"]) for back in backs] == [(6, 7)] * retries
    assert outcome.reason == reason
    assert trainer.guard.retries == retries


def test_the_best_evaluated_student_is_the_one_that_comes_out(tmp_path: Path) -> None:
    distances = iter([3.0, 1.0, 2.0])
    seen: list[torch.Tensor] = []

    def evaluate(generate: object) -> dict[str, float]:
        assert callable(generate)
        seen.append(generate(torch.ones(1, 2, 1, 1), torch.zeros(1, 1, 4)))
        return {"distance": next(distances), "error": 0.1, "recall": 0.5}

    spec = make_spec(tmp_path, eval={"every": 4}, optim={"steps": 13})
    outcome: Outcome = make_trainer(spec, hooks(evaluate=evaluate)).run()
    assert outcome.step == 8
    t = torch.tensor([10.0])
    made = outcome.student.denoise(10.0 * torch.ones(1, 2, 1, 1), t, torch.zeros(1, 1, 4))
    torch.testing.assert_close(made, seen[1], rtol=0, atol=0)
    assert [row["best"] for row in rows_of(read_events(spec.out / "events.jsonl"), "evaluation")] == [True, True, False]


def test_a_roll_back_brings_the_best_student_of_before_back(tmp_path: Path) -> None:
    """The best evaluation lies behind the checkpoint that is gone back to, so it is forgotten with its student."""
    falling, rising = itertools.count(100.0, -1.0), itertools.count(200.0)
    distances = falling
    spec = make_spec(tmp_path, eval={"every": 2}, optim={"steps": 12}, checkpoint_every=3)
    trainer = make_trainer(spec, hooks(evaluate=lambda generate: {"distance": next(distances), "error": 0.1}))
    kept: dict[int, dict[str, torch.Tensor]] = {}
    while trainer.step < 10:
        trainer.turn()
        if trainer.stage == "matching" and trainer.step:
            kept[trainer.step] = {name: one.clone() for name, one in trainer.networks.averaged.state_dict().items()}
    assert trainer.guard.evaluations[-1].step == 10
    trainer._go_back(Fault("planted", 9), before=trainer.mark - trainer.step + 9)
    best = best_of(trainer.guard.evaluations)
    assert best is not None
    assert best.step < 10
    files = {path.name for path in tmp_path.rglob("best-*")}
    assert f"best-{best.step}.safetensors" in files
    assert len(files) < 5
    distances = rising
    outcome = trainer.run()
    assert outcome.step == best.step
    for name, one in kept[best.step].items():
        assert torch.equal(trainer.networks.averaged.state_dict()[name], one)


def test_evaluation_and_monitoring_do_not_change_the_training(tmp_path: Path) -> None:
    plain = make_spec(tmp_path / "plain", fake={"updates": 2})
    watched = make_spec(tmp_path / "watched", fake={"updates": 2}, eval={"every": 2}, monitor={"every": 1})
    make_trainer(plain).run()
    numbers = {"distance": 1.0, "error": 0.5}
    make_trainer(watched, hooks(evaluate=lambda generate: numbers)).run()
    ends = [load_state(spec.out / "checkpoint.safetensors") for spec in (plain, watched)]
    students = [end["networks"]["student"] for end in ends]  # type: ignore[index]
    assert all(torch.equal(students[0][name], students[1][name]) for name in students[0])


def test_what_changed_since_the_checkpoint_is_listed_field_by_field(tmp_path: Path) -> None:
    made = {"optim.lr": 0.1, "divergence.name": "jensen_shannon", "teacher weights": "aa"}
    Checkpoints(tmp_path, made).save({"step": 1, "mark": 1})
    with pytest.raises(SpecError) as caught:
        Checkpoints(tmp_path, {**made, "optim.lr": 0.2, "teacher weights": "bb"}).load()
    first, second = caught.value.problems
    assert "optim.lr changed since this checkpoint (was 0.1, is 0.2). Cure" in first
    assert 'teacher weights changed since this checkpoint (was "aa", is "bb")' in second
    assert Checkpoints(tmp_path, made).load()["step"] == 1


def test_an_encoder_that_an_older_checkpoint_does_not_pin_is_no_change(tmp_path: Path) -> None:
    Checkpoints(tmp_path, {"optim.lr": 0.1}).save({"mark": 1})
    pinned = Checkpoints(tmp_path, {"optim.lr": 0.1, ENCODER: "aa"})
    pinned.save(pinned.load() | {"mark": 2})
    with pytest.raises(SpecError, match=r'eval.clip weights changed since this checkpoint \(was "aa", is "bb"\)'):
        Checkpoints(tmp_path, {"optim.lr": 0.1, ENCODER: "bb"}).load()


def test_keys_that_change_no_number_may_change() -> None:
    assert flat({"out": "a", "optim": {"lr": 1}, "threads": 2}) == {"optim.lr": 1}


def test_the_log_holds_every_signal_and_accounts_for_the_time(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, fake={"updates": "auto"})
    make_trainer(spec).run()
    events = read_events(spec.out / "events.jsonl")
    rows = rows_of(events, "step")
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8, 9, 10, 11]
    signals = {
        "fake_loss",
        "fresh_fake_loss",
        "d_loss",
        "d_accuracy",
        "dm_norm",
        "gan_norm",
        "grad_norm",
        "ess",
        "std_ratio",
    }
    signals |= {"saturation", "detail_ratio", "fake_updates", "fake_beta", "ratio", "rate"}
    assert all(signals <= row.keys() for row in rows)
    assert {"score_cosine", "student_rate", "held_out_drop"} <= rows[2].keys()
    table = rows[-1]["ratio"]
    assert isinstance(table, dict)
    assert {
        "mean_ratio",
        "mean_inverse_ratio",
        "jensen_shannon",
        "accuracy",
        "clipped_share",
        "effective_share",
        "trust",
    } <= table.keys()
    # The student's rate falls to a tenth in stage B, which begins at half the steps.
    assert [row["rate"] for row in rows] == [5e-05, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5]
    spent: dict[str, float] = {}
    for event in events:
        for name, value in dict(event["seconds"]).items():  # type: ignore[call-overload]
            spent[name] = spent.get(name, 0.0) + value
    assert set(spent) >= {
        "data",
        "student",
        "fake",
        "teacher",
        "discriminator",
        "optimiser",
        "monitor",
        "checkpoint",
        "wall",
    }
    assert sum(spent.values()) - spent["wall"] <= spent["wall"] * 1.001


def test_a_line_that_a_kill_left_broken_is_skipped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    spec = make_spec(tmp_path)
    make_trainer(spec).run()
    log = spec.out / "events.jsonl"
    with log.open("a") as file:
        file.write('{"event": "step", "st')
    make_trainer(spec).run()
    assert [event["event"] for event in read_events(log)][-3:] == ["step", "resume", "end"]


def test_a_discriminator_that_is_not_finite_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    trainer = make_trainer(make_spec(tmp_path))
    with torch.no_grad():
        next(iter(trainer.networks.discriminator.parameters())).fill_(torch.nan)
    outcome = trainer.run()
    # The first checkpoint holds the fault already, so every roll-back comes back to it.
    assert "were not finite" in outcome.reason
    assert trainer.guard.retries == trainer.spec.stop.retries + 1
