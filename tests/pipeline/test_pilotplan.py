"""A pilot before it starts: its trials, its rungs, and every mistake at once."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qcgen.cli.main import main
from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.core.errors import SpecError
from qcgen.core.events import EVENTS_FILE, EventLog
from qcgen.core.pilotspec import PilotSpec
from qcgen.pipeline.pilotplan import PilotPlan, chosen_spec, make_plan, read_pace, read_plan, survivors

BASE = {
    "version": 1,
    "name": "base",
    "teacher": "teacher",
    "captions": "set.npz",
    "out": "out/base",
    "divergence": {"name": "forward_kl"},
    "gan": {"weight": 0.01, "start": 0.4},
    "optim": {"lr": 1e-4, "steps": 2000, "warmup": 100, "ema": 0.99},
}
JOB = {
    "version": 1,
    "name": "p",
    "out": "out/pilot",
    "purpose": "balance",
    "grid": {"alpha": [0, 0.5, 1], "noise_to_signal": [2.5, "end"], "gan_weight": [0, 0.02], "lr_ratio": [2, 4]},
    "rungs": 3,
    "eta": 2,
}


def write(folder: Path, *, its_base: dict[str, object] | None = None, **changes: object) -> Path:
    """A job and its base; each change replaces a key, None removes it."""
    YAML(typ="safe").dump({**BASE, **(its_base or {})}, folder / "base.yaml")
    job = {**JOB, "base": str(folder / "base.yaml")} | changes
    YAML(typ="safe").dump({key: value for key, value in job.items() if value is not None}, folder / "job.yaml")
    return folder / "job.yaml"


def plan_of(**changes: object) -> PilotPlan:
    spec = PilotSpec.model_validate({**JOB, "base": "base.yaml", **changes})
    return make_plan(spec, DistillSpec.model_validate(BASE))


def test_every_mistake_of_both_files_is_told_at_once(tmp_path: Path) -> None:
    grid = {"divergence": ["jensen_shanon", {"name": "alpha", "alpha": 7}, 3], "lr_ratio": [0], "t_init": [2.5]}
    job = write(tmp_path, its_base={"optim": {"lr": 1e-4}, "guidance": 2}, purpose="speed", grid=grid, budget=0.5)
    with pytest.raises(SpecError) as raised:
        read_plan(job)
    told = "\n".join(raised.value.problems)
    for part in (
        "purpose: must be one of quality, balance, coverage (got 'speed')",
        "grid.divergence[0].name: must be one of",
        "grid.divergence[1].alpha: must be -1 to 2 (got 7",
        "grid.divergence[2]: must be a group of keys (got 3)",
        "grid.lr_ratio[0]: must be more than 0",
        "grid.t_init: is not a known key",
        "budget: must be at most 0.05 (got 0.5)",
        "base.yaml:",
        "optim.steps: is required and missing",
        "guidance: is not a known key",
    ):
        assert part in told
    assert all(".yaml:" in problem for problem in raised.value.problems), "each says where it is"


def test_what_the_classes_cannot_see_is_told_at_once_too(tmp_path: Path) -> None:
    grid = {"divergence": ["jensen_shanon", {"name": "alpha", "alpha": 7}, "reverse_kl"]}
    job = write(tmp_path, its_base={"optim": {"steps": 60}}, grid=grid, out="out/base")
    with pytest.raises(SpecError) as raised:
        read_plan(job)
    first, second, third, fourth = raised.value.problems
    assert "grid.divergence[0].name: must be one of" in first
    assert "Did you mean 'jensen_shannon'?" in first
    assert "grid.divergence[1].alpha: must be -1 to 2 (got 7.0)" in second
    assert "rungs: the first rung must have at least 2 steps (got 1: 0.05 of the base's 60 steps" in third
    assert "Cure: rungs: 1." in third or "Cure: rungs: 2." in third
    assert "out: must be another folder than the base's" in fourth


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"grid": {}}, "grid: must have at least two settings"),
        ({"grid": {"alpha": [0, 0.5, 0]}}, "grid.alpha: must have each value once"),
        ({"grid": {"alpha": [0, 1], "divergence": ["pearson"]}}, "grid: exactly one of divergence, alpha (got both)"),
        ({"base": "missing.yaml"}, "base: missing.yaml: no such file"),
        ({"base": None}, "base: is required and missing"),
    ],
)
def test_a_mistake_names_its_place(changes: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=told.replace("(", r"\(").replace(")", r"\)")):
        read_plan(write(tmp_path, **changes))


def test_mistakes_exit_2_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pilot", str(write(tmp_path, purpose="speed", n=3, out=str(tmp_path / "out")))]) == 2
    assert "2 mistakes; nothing was written." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_combination_is_a_trial_in_the_grids_order() -> None:
    plan = plan_of()
    assert plan.settings == len(plan.trials) == 24
    assert [trial.name for trial in plan.trials[:2]] == ["t01", "t02"]
    assert plan.trials[0].words == {"alpha": "0", "noise_to_signal": "2.5", "gan_weight": "0", "lr_ratio": "2"}
    assert len({json.dumps(trial.words) for trial in plan.trials}) == 24
    spec = plan.trials[-1].spec
    assert spec.divergence == DivergenceSpec(name="alpha", alpha=1.0)
    assert (spec.student.noise_to_signal, spec.gan.weight, spec.fake.lr) == ("end", 0.02, 4e-4)


def test_a_large_grid_is_sampled_without_replacement_and_the_seed_decides() -> None:
    plan = plan_of(most=7)
    assert (plan.settings, len(plan.trials)) == (24, 7)
    assert len({json.dumps(trial.words) for trial in plan.trials}) == 7
    assert [trial.words for trial in plan_of(most=7).trials] == [trial.words for trial in plan.trials]
    assert [trial.words for trial in plan_of(most=7, seed=1).trials] != [trial.words for trial in plan.trials]


def test_rungs_grow_by_eta_and_one_of_eta_goes_on() -> None:
    plan = plan_of()
    assert plan.steps == (25, 50, 100)
    assert plan.entrants == (24, 12, 6)
    assert plan.matching_steps == 24 * 25 + 12 * 25 + 6 * 50
    assert plan.evaluations == 42
    assert [survivors(n, 3) for n in (1, 2, 3, 4, 9, 10)] == [1, 2, 2, 2, 3, 4]


def test_a_trial_is_the_whole_training_in_small() -> None:
    plan = plan_of()
    optim, gan = plan.trials[0].spec.optim, plan.trials[0].spec.gan
    # A twentieth of the steps: warm-up and the average's horizon of 100 steps are a twentieth as long.
    assert (optim.steps, optim.warmup) == (100, 5)
    assert optim.ema == pytest.approx(0.8)
    # 0.4 of the first rung of 25 steps, so that every rung feels the adversarial term.
    assert gan.start == pytest.approx(0.1)
    assert len({trial.spec.seed for trial in plan.trials}) == 1


def test_the_chosen_setting_keeps_the_bases_budget_and_all_else() -> None:
    base = DistillSpec.model_validate(BASE)
    spec = chosen_spec(base, {"divergence": "pearson", "lr_ratio": 3.0})
    assert spec.optim == base.optim
    assert spec.gan == base.gan
    assert spec.fake.lr == pytest.approx(3e-4)
    changed = {"divergence": spec.divergence.model_dump(exclude_unset=True), "fake": {"lr": 3e-4}}
    assert spec.model_dump(mode="json", exclude_unset=True) == {**base.model_dump(mode="json", exclude_unset=True)} | (
        changed
    )


def test_the_pace_comes_from_the_ledger(tmp_path: Path) -> None:
    plan = plan_of(out=str(tmp_path))
    assert read_pace(plan).step_s is None
    log = EventLog(tmp_path / EVENTS_FILE)
    for steps, train_s in ((10, 20.0), (30, 100.0)):
        log.write("measured", {"steps": steps, "train_s": train_s, "evaluate_s": 4.0}, time_s=0.0)
    pace = read_pace(plan)
    assert (pace.step_s, pace.evaluation_s) == (3.0, 4.0)


def test_the_plan_is_told_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = write(tmp_path, most=5, out=str(tmp_path / "out"))
    assert main(["pilot", str(job), "--plan", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["settings"], len(told["trials"]), told["estimated_s"]) == (24, 5, None)
    assert told["rungs"][0] == {"steps": 25, "trials": 5}
    assert main(["pilot", str(job), "--plan"]) == 0
    text = capsys.readouterr().out
    assert "5 trials drawn from 24 settings for balance" in text
    assert "time: unknown until the first trial has run" in text
    assert not (tmp_path / "out").exists()


def test_the_committed_pilot_has_no_mistakes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    plan = read_plan(Path("jobs/pilot/apparel.yaml"))
    assert plan.steps[0] >= 2
    assert len(plan.trials) == plan.settings
