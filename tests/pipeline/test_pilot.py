"""Whole tiny pilots with everything real: interrupted, lost trials, the job that is recommended."""

import json
import math
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from qcgen.cli.main import main
from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.events import EVENTS_FILE, Event, read_events, rows_of
from qcgen.core.pilotresult import PilotResult, read_result
from qcgen.core.spec import load_yaml
from qcgen.pipeline.distill import run_distillation
from qcgen.pipeline.hold import LOCK_FILE, HeldFolderError, hold_folder
from qcgen.pipeline.pilot import run_pilot
from qcgen.pipeline.pilotplan import read_plan
from tests.pipeline.tinypilot import make_chain, write_pilot
from tests.train.killable import Qcgen

RESULTS = ("pilot.json", "pilot.csv")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The real pictures' columns are kept beside the tests, not in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def undisturbed(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pilot that was left alone."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert main(["pilot", str(write_pilot(chain, out)), "--device", "cpu"]) == 0
    return out


def run(job: Path) -> PilotResult:
    return run_pilot(read_plan(job), resume=False, device="cpu", say=lambda _: None, tell=lambda _: None)


def numbers(events: list[Event]) -> list[Mapping[str, object]]:
    return [
        {key: value for key, value in row.items() if key not in {"seconds", "time_s", "mark"}}
        for row in rows_of(events, "step")
    ]


def test_a_pilot_recommends_one_setting_and_says_how_sure_it_is(undisturbed: Path, chain: Path) -> None:
    result = read_result(undisturbed)
    assert result.winner is not None
    assert result.winner.place == 1
    assert 0 < result.chance <= 1  # type: ignore[operator]
    assert [len(cut.entered) for cut in result.cuts] == [4, 2]
    assert sorted(len(one.visits) for one in result.trials) == [1, 1, 2, 2]
    finalists = [one for one in result.trials if len(one.visits) == 2]
    assert sum(one.visits[-1].best for one in finalists) == pytest.approx(1)
    for trial in result.trials:
        for visit in trial.visits:
            assert {"kid", "recall", "clip_score", "saturation"} <= set(visit.measures)
            assert all(math.isfinite(one.value) and one.error >= 0 for one in visit.measures.values())
    assert visit.measures["saturation"].real == pytest.approx(0.5, abs=0.3), "the photos' own is known"
    page = (undisturbed / "report.html").read_text()
    assert result.winner.label in page
    assert f"trials/{result.winner.name}/report.html" in page
    assert not list(undisturbed.rglob("checkpoint*.safetensors")), "what only trainings need is gone"


def test_the_recommended_job_is_the_base_at_full_budget_and_can_be_run(undisturbed: Path, chain: Path) -> None:
    base, spec = (load_yaml(path, DistillSpec) for path in (chain / "base.yaml", undisturbed / "recommended.yaml"))
    winner = read_result(undisturbed).winner
    assert winner is not None
    assert spec.optim == base.optim
    assert spec.out != base.out
    assert spec.divergence.name == winner.setting["divergence"]
    assert spec.fake.lr == pytest.approx(float(winner.setting["lr_ratio"]) * base.optim.lr)
    kept = {"divergence", "fake", "out"}
    assert spec.model_dump(exclude=kept) == base.model_dump(exclude=kept)


def test_trials_share_pairs_and_start_and_are_trained_as_if_alone(
    undisturbed: Path, chain: Path, tmp_path: Path
) -> None:
    plan = read_plan(write_pilot(chain, undisturbed))
    finalist = next(one for one in plan.trials if len(rows_of(_events(one.spec.out), "step")) == 4)
    alone = finalist.spec.model_copy(update={"out": tmp_path / "alone"})
    run_distillation(alone, resume=False, device="cpu", say=lambda _: None, tell=lambda _: None)
    # Its own pairs and its own regression: the same bits all the same.
    assert numbers(_events(alone.out)) == numbers(_events(finalist.spec.out))
    assert not rows_of(_events(finalist.spec.out), "pairs")
    # One regression, and a warm-up for each learning-rate ratio.
    assert len(list((undisturbed / "starts").glob("*.safetensors"))) == 3
    assert not list((undisturbed / "trials").rglob("pairs.safetensors"))


def test_killed_and_stopped_a_pilot_goes_on_and_ends_in_the_same_result(
    undisturbed: Path, chain: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job, ledger = write_pilot(chain, out), out / EVENTS_FILE

    def start(number: int) -> Qcgen:
        return Qcgen(tmp_path / f"told-{number}.txt", ["pilot", str(job), "--device", "cpu", "--resume"])

    first = start(0)
    # The second trial has begun: start, trial, measured, trial.
    assert first.wait_for_lines(ledger, 4), first.told
    first.signal(signal.SIGKILL)
    assert first.join() == -signal.SIGKILL
    second = start(1)
    assert second.wait_for_lines(ledger, 8), second.told
    second.signal(signal.SIGTERM)
    assert second.join() == 5, second.told
    assert "Stopped by SIGTERM" in second.told
    assert "Cure: qcgen pilot JOB --resume" in second.told
    assert not (out / "pilot.json").exists()
    assert main(["pilot", str(job), "--device", "cpu", "--resume"]) == 0
    assert [(out / name).read_bytes() for name in RESULTS] == [(undisturbed / name).read_bytes() for name in RESULTS]
    made = [(row["trial"], row["rung"]) for row in rows_of(read_events(ledger), "measured")]
    assert len(made) == len(set(made)) == 6, "nothing was measured twice"


def test_a_started_pilot_is_neither_overwritten_nor_changed_nor_made_again(
    undisturbed: Path, chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_pilot(chain, undisturbed)
    before = (undisturbed / "pilot.json").read_bytes()
    assert main(["pilot", str(job)]) == 2
    assert "holds a started pilot. Cure: --resume" in capsys.readouterr().err
    assert main(["pilot", str(write_pilot(chain, undisturbed, n=300)), "--resume"]) == 2
    assert "pilot.n changed since this pilot was started (was 200, is 300). Cure" in capsys.readouterr().err
    (undisturbed / "pilot.json").unlink()
    assert main(["pilot", str(write_pilot(chain, undisturbed)), "--resume", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recommended"] == read_result(undisturbed).recommended
    assert (undisturbed / "pilot.json").read_bytes() == before
    assert len(rows_of(_events(undisturbed), "measured")) == 6


@pytest.mark.parametrize("resume", [False, True])
def test_a_pilot_in_a_folder_where_another_works_is_refused(resume: bool, chain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = read_plan(write_pilot(chain, out))
    with hold_folder(out, key="out", say=print), pytest.raises(HeldFolderError, match=r"out: another qcgen .*Cure"):
        run_pilot(plan, resume=resume, device="cpu", say=lambda _: None, tell=lambda _: None)
    assert [path.name for path in out.iterdir()] == [LOCK_FILE]


def test_a_trial_that_a_stop_rule_ends_loses_with_its_reason(chain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # At a rate of 10^8 the fake score overflows in its first step.
    result = run(write_pilot(chain, out, base=str(chain / "hasty.yaml"), rungs=1, grid={"lr_ratio": [3, 1e12]}))
    good, bad = result.trials
    assert (good.setting["lr_ratio"], good.place, result.chance) == ("3", 1, 1.0)
    assert bad.place is None
    assert "not finite" in str(bad.lost)
    assert rows_of(_events(out), "lost")[0]["reason"] == bad.lost


def test_where_all_trials_are_lost_nothing_is_recommended(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_pilot(chain, tmp_path / "out", base=str(chain / "hasty.yaml"), rungs=1, grid={"lr_ratio": [1e12, 2e12]})
    assert main(["pilot", str(job), "--device", "cpu"]) == 1
    assert "nothing is recommended" in capsys.readouterr().out
    assert not (tmp_path / "out" / "recommended.yaml").exists()
    assert "Nothing to recommend" in (tmp_path / "out" / "report.html").read_text()


def test_what_does_not_fit_the_data_is_told_at_once(chain: Path, tmp_path: Path) -> None:
    job = write_pilot(chain, tmp_path / "out", clip="embedded:nothing")
    text = (chain / "base.yaml").read_text().replace("bins: 2", "bins: 90")
    (tmp_path / "base.yaml").write_text(text)
    job.write_text(job.read_text().replace(str(chain / "base.yaml"), str(tmp_path / "base.yaml")))
    with pytest.raises(SpecError) as raised:
        run(job)
    told = "\n".join(raised.value.problems)
    assert "ratio.bins: the running statistics must hold at least 8 samples a bin" in told
    assert "clip: 'embedded:nothing' is not an embedded model" in told
    assert not (tmp_path / "out").exists()
    with pytest.raises(PrerequisiteError, match="clip: the folder"):
        run(write_pilot(chain, tmp_path / "out", clip=str(tmp_path / "nowhere")))


def test_a_start_has_one_place_for_all_trials(chain: Path, tmp_path: Path) -> None:
    base = (chain / "base.yaml").read_text()
    (tmp_path / "base.yaml").write_text(f"{base}\nstudent: {{init: {chain / 'distilled' / 'student'}}}\n")
    grid = {"noise_to_signal": [2.5, 1.0]}
    job = write_pilot(chain, tmp_path / "out", base=str(tmp_path / "base.yaml"), grid=grid)
    with pytest.raises(SpecError, match=r"grid\.noise_to_signal: a base with student\.init has one place"):
        run(job)


def _events(folder: Path) -> list[Event]:
    return read_events(folder / EVENTS_FILE)
