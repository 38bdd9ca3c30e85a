"""`qcgen pilot`: which setting a distillation should have, before it is paid for."""

from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result, say
from qcgen.cli.options import Device, DeviceOption, Job, Json
from qcgen.core.errors import QcgenError
from qcgen.core.wording import several

if TYPE_CHECKING:
    from qcgen.pipeline.pilotplan import PilotPlan


def pilot(
    job: Job,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the pilot in the job's `out`.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would do; train nothing.")] = False,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Try settings of a distillation at a few per cent of its steps, and recommend one with how sure that is.

    Example: qcgen pilot jobs/pilot/apparel.yaml --plan
    """
    from qcgen.cli.wiring import prepare_torch, refuse_several
    from qcgen.pipeline.pilotplan import read_plan

    refuse_several("qcgen pilot")
    prepare_torch()
    planned = read_plan(job)
    if plan:
        _print_plan(planned, as_json=json)
    else:
        _run(planned, resume=resume, device=device, as_json=json)


def _run(planned: "PilotPlan", *, resume: bool, device: Device, as_json: bool) -> None:
    from qcgen.cli.live import pilot_shown
    from qcgen.cli.wiring import cache_folder, pick_device
    from qcgen.core.pilotresult import RECOMMENDED_FILE
    from qcgen.pipeline.pilot import run_pilot
    from qcgen.report.pilot import verdict, write_pilot_report

    spec = planned.spec
    with pilot_shown(spec.name) as tell:
        result = run_pilot(planned, resume=resume, device=pick_device(device), say=say, tell=tell, cache=cache_folder())
    _write_trial_reports(planned)
    report, winner = write_pilot_report(spec.out), result.winner
    recommended = None if winner is None else spec.out / RECOMMENDED_FILE
    facts = {
        "recommended": result.recommended,
        "setting": None if winner is None else dict(winner.setting),
        "chance": result.chance,
        "tied": [one.name for one in result.tied],
        "trials": len(result.trials),
        "lost": [one.name for one in result.trials if one.lost],
        "job": recommended,
        "report": report,
    }
    said = [verdict(result)] if winner is None else [f"{winner.name}: {winner.label}", verdict(result)]
    said += [f"job: {recommended}"] if recommended else []
    print_result(facts, as_json=as_json, text="\n".join([*said, f"report: {report}"]))
    if winner is None:
        raise typer.Exit(QcgenError.exit_code)


def _write_trial_reports(planned: "PilotPlan") -> None:
    from qcgen.core.events import EVENTS_FILE
    from qcgen.report.training import write_training_report

    for trial in planned.trials:
        if (trial.spec.out / EVENTS_FILE).is_file():
            write_training_report(trial.spec.out, trial.spec.name)


def _print_plan(planned: "PilotPlan", *, as_json: bool) -> None:
    from qcgen.pipeline.pilotplan import read_pace, seconds_left

    spec, pace = planned.spec, read_pace(planned)
    left_s = seconds_left(planned, pace, steps=planned.matching_steps, evaluations=planned.evaluations)
    start_steps = planned.starts * planned.base.pairs.steps
    if left_s is not None:
        left_s += start_steps * (pace.start_step_s or 0.0)
    facts = {
        "name": spec.name,
        "purpose": spec.purpose,
        "settings": planned.settings,
        "trials": {trial.name: dict(trial.words) for trial in planned.trials},
        "rungs": [
            {"steps": steps, "trials": trials} for steps, trials in zip(planned.steps, planned.entrants, strict=True)
        ],
        "matching_steps": planned.matching_steps,
        "evaluations": planned.evaluations,
        "start_steps": start_steps,
        "estimated_s": left_s,
    }
    told = plain(facts)
    assert isinstance(told, dict)
    print_result(told, as_json=as_json, text=_describe(planned, start_steps, left_s, evaluated=pace.evaluation_s))


def _describe(planned: "PilotPlan", start_steps: int, left_s: float | None, *, evaluated: float | None) -> str:
    spec, base = planned.spec, planned.base
    drawn = "" if planned.settings == len(planned.trials) else f" drawn from {several(planned.settings, 'setting')}"
    rungs = [f"{several(n, 'trial')} to step {steps}" for steps, n in zip(planned.steps, planned.entrants, strict=True)]
    share = planned.matching_steps / base.optim.steps
    time = "unknown until the first trial has run" if left_s is None else _duration(left_s)
    if left_s is not None and evaluated is None:
        time += ", evaluations and pairs not counted"
    return "\n".join(
        [
            f"{spec.name}: {several(len(planned.trials), 'trial')}{drawn} for {spec.purpose}, base {spec.base}",
            *(f"  {trial.name}: {trial.label}" for trial in planned.trials),
            f"rungs: {'; '.join(rungs)} (of {base.optim.steps})",
            f"steps: {several(planned.matching_steps, 'matching step')} in all ({share:.2f} of a whole distillation), "
            f"{several(start_steps, 'regression step')} in {several(planned.starts, 'shared start')}",
            f"evaluations: {planned.evaluations} of {several(spec.n, 'picture')}",
            f"time: {time}",
        ]
    )


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
