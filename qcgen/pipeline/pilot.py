"""`qcgen pilot`: short trials of many settings, ever fewer and longer, and the setting that they recommend."""

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from ruamel.yaml import YAML

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.events import EVENTS_FILE, EventLog
from qcgen.core.pilotresult import (
    RECOMMENDED_FILE,
    RESULT_FILE,
    Cut,
    KeyEffect,
    PilotNumber,
    PilotResult,
    TrialResult,
    Visit,
    to_json,
)
from qcgen.core.wording import file_name, several
from qcgen.distill.checkpoint import flat
from qcgen.generate.write import sync_folders, write_file
from qcgen.models.find import resolve_model
from qcgen.models.noising import check_start
from qcgen.pipeline.distill import Ground, prepare, start_time
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.interrupt import listen
from qcgen.pipeline.pilotplan import PilotPlan, Trial, chosen_spec, read_pace, seconds_left
from qcgen.pipeline.trial import Bench, Reading
from qcgen.qc.ranking import AIMS, Standing, effects, rank

_LEAST_REAL = 200
_STARTED = "started.json"

Tell = Callable[[Mapping[str, object]], None]


def run_pilot(
    plan: PilotPlan,
    *,
    resume: bool,
    device: str,
    say: Callable[[str], None],
    tell: Tell,
    cache: Path | None = None,
) -> PilotResult:
    """Train and measure the trials rung by rung; writes the ledger, `pilot.json` and `recommended.yaml`.

    Args:
        resume: go on with the pilot in `out`; without one, begin.
        say: receives sentences for a person.
        tell: receives every event of the ledger and of the trainings.
        cache: folder of the real pictures' columns; by default in `out`.

    Raises:
        BlockedError: a licence stands against a student for the base's purpose.
        SpecError: what the job asks for does not fit its data or teacher, a started pilot without `resume`, or inputs
            that changed since.
        PrerequisiteError: a part of the teacher or the encoder is missing.
        PausedError: a signal asked to stop (started again with `resume`, it goes on in the same bits), or another
            process works in `out`.
    """
    torch.set_num_threads(plan.base.threads)
    ground = prepare_ground(plan, say=say)
    out = plan.spec.out
    ledger = _Ledger(EventLog(out / EVENTS_FILE), tell)
    with hold_folder(out, key="out", say=say):
        _begin(plan, ground, resume=resume)
        with listen("qcgen pilot JOB --resume") as stop:
            bench = Bench(
                plan, ground, device=device, check=stop.check, tell=tell, say=say, cache=cache or out / "real"
            )
            ledger.write("resume" if (out / EVENTS_FILE).is_file() else "start", _facts(plan))
            result = _Contest(plan, bench, ledger).run()
        _write(out / RESULT_FILE, to_json(result))
        if result.winner is not None:
            _write(out / RECOMMENDED_FILE, recommended_yaml(plan, result))
        bench.tidy()
        ledger.write("end", {"recommended": result.recommended, "chance": result.chance})
    return result


def prepare_ground(plan: PilotPlan, *, say: Callable[[str], None]) -> Ground:
    """Find the teacher's parts, read the data and refuse what cannot work, all of it at once.

    Raises:
        BlockedError, SpecError, PrerequisiteError: as `run_pilot`.
    """
    problems: list[str] = []
    missing: list[str] = []
    ground: Ground | None = None
    if plan.base.student.init is not None and plan.spec.grid.noise_to_signal is not None:
        problems.append(
            "grid.noise_to_signal: a base with student.init has one place for all (got both). Cure: leave one out."
        )
    key = "grid.noise_to_signal" if plan.spec.grid.noise_to_signal else "student.noise_to_signal"
    for place, trial in enumerate({one.spec.student.noise_to_signal: one for one in plan.trials}.values()):
        try:
            if place == 0:
                ground = prepare(trial.spec, say=say, where=key)
            elif ground is not None:
                parts = ground.parts
                check_start(parts.schedule, start_time(trial.spec, parts), where=key)
        except SpecError as error:
            problems += error.problems
        except PrerequisiteError as error:
            missing.append(str(error))
    try:
        resolve_model(plan.spec.clip, key="clip")
    except SpecError as error:
        problems += error.problems
    except PrerequisiteError as error:
        missing.append(str(error))
    rows = 0 if ground is None else len(ground.data.rows(held_out=False))
    if ground is not None and rows < _LEAST_REAL:
        problems.append(
            f"captions: KID needs at least {_LEAST_REAL} training pictures (got {rows}). Cure: a larger image set."
        )
    if problems:
        raise SpecError([*problems, *missing])
    if missing:
        raise PrerequisiteError("\n".join(missing))
    assert ground is not None
    return ground


def recommended_yaml(plan: PilotPlan, result: PilotResult) -> str:
    """The base with the recommended setting at its full budget, as a job for `qcgen distill`."""
    assert result.winner is not None
    setting = next(trial.setting for trial in plan.trials if trial.name == result.recommended)
    spec = chosen_spec(plan.base, setting)
    spec = spec.model_copy(update={"out": plan.base.out.with_name(f"{plan.base.out.name}-{result.purpose}")})
    written = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = None, False  # type: ignore[assignment]
    yaml.width = 120
    yaml.dump(spec.model_dump(mode="json", exclude_unset=True), written)
    label = json.dumps(result.winner.label, ensure_ascii=True)
    chance = "more than 0.99" if (result.chance or 0) > 0.99 else f"{result.chance:.2f}"
    return (
        f"# Recommended for {result.purpose} by a pilot of {several(len(result.trials), 'trial')}: {label}\n"
        f"# Probability of being the best of those compared at the end: {chance}. All else is as in the "
        f"base.\n# Run: qcgen distill {file_name(plan.spec.out / RECOMMENDED_FILE)}\n{written.getvalue()}"
    )


class _Ledger:
    """Writes to the log and to whoever watches."""

    def __init__(self, log: EventLog, tell: Tell) -> None:
        self.log, self._tell = log, tell

    def write(self, kind: str, facts: Mapping[str, object]) -> None:
        self.log.write(kind, facts, time_s=time.time())
        self._tell({"event": kind, "pilot": True, **facts})


class _Contest:
    """The rungs: who is measured, who goes on, who is recommended."""

    def __init__(self, plan: PilotPlan, bench: Bench, ledger: _Ledger) -> None:
        self.plan, self.bench, self.ledger = plan, bench, ledger
        self.readings: dict[str, list[Reading]] = {trial.name: [] for trial in plan.trials}
        self.standings: list[dict[str, Standing]] = []
        self.cuts: list[Cut] = []
        self.done_steps = self.done_evaluations = 0

    def run(self) -> PilotResult:
        alive: Sequence[Trial] = self.plan.trials
        for rung, steps in enumerate(self.plan.steps):
            if not alive:
                break
            for trial in alive:
                self._read(trial, rung)
            alive = self._cut(alive, rung, steps)
        return self._result()

    def _read(self, trial: Trial, rung: int) -> None:
        steps = self.plan.steps[rung] - (self.plan.steps[rung - 1] if rung else 0)
        reading = self.bench.stored(trial, rung)
        if reading is None:
            place = {"trial": trial.name, "label": trial.label, "rung": rung + 1, "to_step": self.plan.steps[rung]}
            self.ledger.write("trial", {**place, "left_s": self._left_s()})
            reading, spent = self.bench.read(trial, rung)
            numbers = {name: [one.value, one.error] for name, one in reading.estimates.items()}
            kind = "measured" if reading.lost is None else "lost"
            self.ledger.write(kind, {**place, **spent, "reason": reading.lost, "numbers": numbers})
        self.readings[trial.name].append(reading)
        self.done_steps += steps
        self.done_evaluations += 1

    def _left_s(self) -> float | None:
        plan = self.plan
        steps, evaluations = plan.matching_steps - self.done_steps, plan.evaluations - self.done_evaluations
        return seconds_left(plan, read_pace(plan), steps=steps, evaluations=evaluations)

    def _cut(self, entered: Sequence[Trial], rung: int, steps: int) -> Sequence[Trial]:
        there = [trial for trial in entered if self.readings[trial.name][rung].lost is None]
        ranked = self._rank(there, rung)
        self.standings.append({there[one.place].name: one for one in ranked})
        last = rung + 1 == len(self.plan.steps)
        going = min(len(there), 1 if last else self.plan.entrants[rung + 1])
        names = {there[one.place].name for one in ranked[:going]}
        # In the grid's order, so that who goes first does not depend on luck at the rung before.
        kept = [trial for trial in there if trial.name in names]
        thrown = sum(one.best for one in ranked[going:])
        cut = Cut(steps, tuple(one.name for one in entered), tuple(one.name for one in kept), thrown)
        self.cuts.append(cut)
        for trial in entered:
            if trial.name not in names:
                self.bench.drop(trial)
        facts = {"rung": rung + 1, "kept": list(cut.kept), "thrown_away": thrown}
        self.ledger.write("decided" if last else "cut", facts)
        return kept

    def _rank(self, trials: Sequence[Trial], rung: int) -> list[Standing]:
        if not trials:
            return []
        spec = self.plan.spec
        students = [self.readings[trial.name][rung].measured for trial in trials]
        return rank(students, AIMS[spec.purpose], n=spec.n, seed=spec.seed)

    def _result(self) -> PilotResult:
        spec, base = self.plan.spec, self.plan.base
        order = self._order()
        results = [self._trial(trial, order) for trial in self.plan.trials]
        results.sort(key=lambda one: (one.place is None, one.place or 0, one.name))
        # Where every finalist was lost, nothing was compared at the full length.
        winner = results[0] if self._finalists else None
        return PilotResult(
            version=1,
            name=spec.name,
            purpose=spec.purpose,
            base=str(spec.base),
            base_steps=base.optim.steps,
            budget=spec.budget,
            n=spec.n,
            seed=spec.seed,
            clip=spec.clip,
            settings=self.plan.settings,
            weights=dict(AIMS[spec.purpose].weights),
            trials=tuple(results),
            cuts=tuple(self.cuts),
            effects=self._effects(),
            recommended=None if winner is None else winner.name,
            chance=None if winner is None else winner.visits[-1].best,
        )

    @property
    def _finalists(self) -> Mapping[str, Standing]:
        return self.standings[-1] if len(self.standings) == len(self.plan.steps) else {}

    def _order(self) -> list[str]:
        """Names of the trials that were not lost, best first: those that went further come first."""
        found: list[str] = []
        for rung in range(len(self.standings) - 1, -1, -1):
            for name in self.standings[rung]:
                if name not in found and not any(one.lost for one in self.readings[name]):
                    found.append(name)
        return found

    def _trial(self, trial: Trial, order: Sequence[str]) -> TrialResult:
        readings = self.readings[trial.name]
        visits = tuple(
            _visit(reading, self.standings[rung][trial.name])
            for rung, reading in enumerate(readings)
            if reading.lost is None
        )
        final = self._finalists.get(trial.name)
        return TrialResult(
            name=trial.name,
            place=order.index(trial.name) + 1 if trial.name in order else None,
            setting=dict(trial.words),
            visits=visits,
            rollbacks=readings[-1].rollbacks if readings else 0,
            lost=next((one.lost for one in readings if one.lost), None),
            behind=final.behind if final else None,
            behind_error=final.behind_error if final else None,
            tied=final is not None and final.tied,
            pictures=final.pictures if final else None,
        )

    def _effects(self) -> tuple[KeyEffect, ...]:
        there = [trial for trial in self.plan.trials if self.readings[trial.name][0].lost is None]
        if len(there) < 2:
            return ()
        spec = self.plan.spec
        students = [self.readings[trial.name][0].measured for trial in there]
        return tuple(
            KeyEffect(key, one.label, one.students, one.score, one.error)
            for key in spec.grid.axes
            for one in effects(students, AIMS[spec.purpose], [trial.words[key] for trial in there], seed=spec.seed)
        )


def _visit(reading: Reading, standing: Standing) -> Visit:
    numbers = {
        name: PilotNumber(one.value, one.error, one.unit, one.better, one.real)
        for name, one in reading.estimates.items()
    }
    return Visit(reading.steps, numbers, standing.score, standing.error, standing.best, standing.broken)


def _begin(plan: PilotPlan, ground: Ground, *, resume: bool) -> None:
    """Record what the pilot is made from, or compare it with what it was made from.

    Raises:
        SpecError: as `run_pilot`.
    """
    path = plan.spec.out / _STARTED
    # The trials' names and folders follow from the job's own, which may change.
    pilot = {f"pilot.{key}": value for key, value in flat(plan.spec.model_dump(mode="json")).items()}
    base = {f"base.{key}": value for key, value in flat(plan.base.model_dump(mode="json")).items()}
    encoder = {"encoder": resolve_model(plan.spec.clip).digest}
    now = json.loads(json.dumps({**pilot, **base, **ground.inputs, **encoder}))
    del now["pilot.base"]
    if not path.is_file():
        plan.spec.out.mkdir(parents=True, exist_ok=True)
        _write(path, json.dumps(now, indent=1, sort_keys=True) + "\n")
        return
    if not resume:
        raise SpecError(f"out: {plan.spec.out} holds a started pilot. Cure: --resume to go on with it, or another out.")
    before = json.loads(path.read_bytes())
    changed = [
        f"{path}: {key} changed since this pilot was started (was {json.dumps(before.get(key))}, "
        f"is {json.dumps(now.get(key))}). Cure: change it back, or give another out."
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise SpecError(changed)


def _facts(plan: PilotPlan) -> dict[str, object]:
    return {
        "trials": len(plan.trials),
        "settings": plan.settings,
        "rungs": list(plan.steps),
        "matching_steps": plan.matching_steps,
        "evaluations": plan.evaluations,
    }


def _write(path: Path, text: str) -> None:
    write_file(path, text.encode("utf-8"))
    sync_folders([path.parent])
