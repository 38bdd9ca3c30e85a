"""A pilot before it starts: its trials, its rungs and every mistake in its job."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.core.errors import SpecError
from qcgen.core.events import EVENTS_FILE, read_events, rows_of
from qcgen.core.pilotspec import PilotSpec
from qcgen.core.spec import load_yaml
from qcgen.core.wording import file_name
from qcgen.core.yamlpos import Document, read_yaml
from qcgen.distill.blend import read_blend

_LEAST_STEPS = 2
Setting = Mapping[str, object]
"""A value for each key of the grid."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting, in words too, as a distillation of the last rung's length."""

    name: str
    setting: Setting
    words: Mapping[str, str]
    spec: DistillSpec

    @property
    def label(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.words.items())


@dataclass(frozen=True, slots=True)
class PilotPlan:
    """What a pilot will do.

    Attributes:
        trials: in the grid's order.
        settings: combinations of the grid; more than the trials where it was sampled.
        steps: matching steps of a trial at the end of each rung.
        entrants: trials at each rung, if none is lost.
    """

    spec: PilotSpec
    base: DistillSpec
    trials: tuple[Trial, ...]
    settings: int
    steps: tuple[int, ...]
    entrants: tuple[int, ...]

    @property
    def matching_steps(self) -> int:
        """Of all trials together."""
        before = (0, *self.steps)
        return sum(
            n * (steps - before[place]) for place, (n, steps) in enumerate(zip(self.entrants, self.steps, strict=True))
        )

    @property
    def evaluations(self) -> int:
        return sum(self.entrants)

    @property
    def starts(self) -> int:
        """Regression starts: one for each place of the student, shared by its trials."""
        places = {trial.spec.student.noise_to_signal for trial in self.trials}
        return len(places) if self.base.pairs.steps else 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of a matching step, of an evaluation and of a regression step; None where nothing was measured."""

    step_s: float | None
    evaluation_s: float | None
    start_step_s: float | None


def read_plan(path: Path) -> PilotPlan:
    """Read a pilot's job and the distillation that it is based on.

    Raises:
        SpecError: with every mistake of both files and of what they make together.
    """
    problems: list[str] = []
    spec: PilotSpec | None = None
    base: DistillSpec | None = None
    try:
        spec = load_yaml(path, PilotSpec)
    except SpecError as error:
        problems += error.problems
    try:
        document = read_yaml(path)
    except SpecError:
        raise SpecError(problems) from None
    named = document.value.get("base")
    if isinstance(named, str):
        try:
            base = load_yaml(Path(named), DistillSpec)
        except SpecError as error:
            problems += [_told(document, named, problem) for problem in error.problems]
    problems += _unknown_divergences(document)
    if spec is not None and base is not None:
        problems += _misfits(spec, base, document)
    if problems:
        raise SpecError(problems)
    assert spec is not None
    assert base is not None
    return make_plan(spec, base)


def make_plan(spec: PilotSpec, base: DistillSpec) -> PilotPlan:
    """The trials and rungs of a job without mistakes."""
    steps = rung_steps(spec, base)
    settings = math.prod(len(values) for values in spec.grid.axes.values())
    chosen = range(settings)
    if settings > spec.most:
        chosen = sorted(random.Random(spec.seed).sample(chosen, spec.most))  # type: ignore[assignment]
    wide = len(str(len(chosen)))
    trials = []
    for place, number in enumerate(chosen, start=1):
        setting = _setting(spec, number)
        name = f"t{place:0{wide}}"
        trials.append(Trial(name, setting, _words(setting), _shortened(spec, chosen_spec(base, setting), name, steps)))
    entrants = [len(trials)]
    for _ in steps[1:]:
        entrants.append(survivors(entrants[-1], spec.eta))
    return PilotPlan(spec, base, tuple(trials), settings, steps, tuple(entrants))


def rung_steps(spec: PilotSpec, base: DistillSpec) -> tuple[int, ...]:
    """Matching steps at the end of each rung."""
    return tuple(_step_at(spec, base, rungs=spec.rungs - rung) for rung in range(spec.rungs))


def survivors(entrants: int, eta: int) -> int:
    """How many of a rung go on: one of `eta`, at least two where there are two, for a last word needs a comparison."""
    return max(math.ceil(entrants / eta), min(2, entrants))


def chosen_spec(base: DistillSpec, setting: Setting) -> DistillSpec:
    """The base with a setting of the grid, at its full budget."""
    changes: dict[str, object] = {}
    for key, value in setting.items():
        match key:
            case "divergence":
                changes["divergence"] = value if isinstance(value, DivergenceSpec) else _named(str(value))
            case "alpha":
                changes["divergence"] = _named("alpha", alpha=value)
            case "noise_to_signal":
                changes["student"] = base.student.model_copy(update={"noise_to_signal": value})
            case "gan_weight":
                changes["gan"] = base.gan.model_copy(update={"weight": value})
            case "lr_ratio":
                rate = float(f"{float(str(value)) * base.optim.lr:.6g}")
                changes["fake"] = base.fake.model_copy(update={"lr": rate})
    return base.model_copy(update=changes)


def read_pace(plan: PilotPlan) -> Pace:
    """What the pilot's own ledger, or else the base's last distillation, took on this machine."""
    own = [*rows_of(_events(plan.spec.out), "measured")]
    steps = sum(_seconds(row, "steps") for row in own)
    step_s = sum(_seconds(row, "train_s") for row in own) / steps if steps else None
    evaluation_s = sum(_seconds(row, "evaluate_s") for row in own) / len(own) if own else None
    before = _events(plan.base.out)
    return Pace(step_s or _per_step(before, "step"), evaluation_s, _per_step(before, "pairs"))


def seconds_left(plan: PilotPlan, pace: Pace, *, steps: int, evaluations: int) -> float | None:
    """Of so many matching steps and evaluations; None where the pace is not known."""
    if pace.step_s is None:
        return None
    return steps * pace.step_s + evaluations * (pace.evaluation_s or 0.0)


def _shortened(spec: PilotSpec, chosen: DistillSpec, name: str, steps: Sequence[int]) -> DistillSpec:
    """A trial: time scales that are counted in steps shrink with the training, so that it is the whole one in small.

    The adversarial term starts at its share of the first rung already: every rung must feel what is compared there.
    """
    optim, last = chosen.optim, steps[-1]
    share = last / optim.steps
    shorter = {
        "steps": last,
        "warmup": round(optim.warmup * share),
        "ema": max(0.0, 1 - (1 - optim.ema) / share),
    }
    return chosen.model_copy(
        update={
            "name": f"{spec.name}-{name}",
            "out": spec.out / "trials" / name,
            "seed": spec.seed,
            "optim": optim.model_copy(update=shorter),
            "gan": chosen.gan.model_copy(update={"start": chosen.gan.start * steps[0] / last}),
            "eval": chosen.eval.model_copy(update={"every": 0, "n": spec.n, "clip": spec.clip}),
        }
    )


def _setting(spec: PilotSpec, number: int) -> dict[str, object]:
    """The setting of a number; the last key changes fastest."""
    axes = spec.grid.axes
    setting: dict[str, object] = {}
    for key in reversed(axes):
        number, place = divmod(number, len(axes[key]))
        setting[key] = axes[key][place]
    return {key: setting[key] for key in axes}


def _words(setting: Setting) -> dict[str, str]:
    def said(value: object) -> str:
        if isinstance(value, DivergenceSpec):
            return read_blend(value).describe()
        return f"{value:g}" if isinstance(value, float | int) else str(value)

    return {key: said(value) for key, value in setting.items()}


def _named(name: str, **parameters: object) -> DivergenceSpec:
    return DivergenceSpec.model_validate({"name": name, **parameters})


def _unknown_divergences(document: Document) -> list[str]:
    """Names and parameters that no class of the YAML knows, told even where it has other mistakes."""
    grid = document.value.get("grid")
    listed = grid.get("divergence") if isinstance(grid, dict) else None
    problems: list[str] = []
    for place, value in enumerate(listed if isinstance(listed, list) else ()):
        try:
            asked = {"name": value} if isinstance(value, str) else value
            spec = DivergenceSpec.model_validate_json(json.dumps(asked), strict=True)
            read_blend(spec, where=document.where(("grid", "divergence", place)))
        except ValidationError:
            continue  # told already
        except SpecError as error:
            problems += error.problems
    return problems


def _misfits(spec: PilotSpec, base: DistillSpec, document: Document) -> list[str]:
    """Mistakes in what the two files make together."""
    problems: list[str] = []
    if spec.grid.divergence is None and spec.grid.alpha is None:
        try:
            read_blend(base.divergence, where=f"{file_name(spec.base)} divergence")
        except SpecError as error:
            problems += error.problems
    first = _step_at(spec, base, rungs=spec.rungs)
    if first < _LEAST_STEPS:
        problems.append(
            f"{document.where(('rungs',))}: the first rung must have at least {_LEAST_STEPS} steps (got {first}: "
            f"{spec.budget:g} of the base's {base.optim.steps} steps, {spec.rungs} rungs, eta {spec.eta}). "
            f"Cure: {_cure(spec, base)}."
        )
    if spec.out.resolve() == base.out.resolve():
        problems.append(
            f"{document.where(('out',))}: must be another folder than the base's (got {file_name(spec.out)}). "
            f"Cure: out/pilot/{spec.name}."
        )
    return problems


def _cure(spec: PilotSpec, base: DistillSpec) -> str:
    fewer = [rungs for rungs in range(1, spec.rungs) if _step_at(spec, base, rungs=rungs) >= _LEAST_STEPS]
    return f"rungs: {max(fewer)}" if fewer else "a base with more steps, or a budget of 0.05"


def _step_at(spec: PilotSpec, base: DistillSpec, *, rungs: int) -> int:
    """Steps at the rung that is so many from the end, the last one being 1."""
    return round(spec.budget * base.optim.steps / float(spec.eta ** (rungs - 1)))


def _told(document: Document, named: str, problem: str) -> str:
    """A mistake of the base has its own file and line; only a base that cannot be read is told where it is named."""
    whole = problem.startswith(f"{file_name(Path(named))}: ")
    return f"{document.where(('base',))}: {problem}" if whole else problem


def _events(folder: Path) -> list[dict[str, object]]:
    path = folder / EVENTS_FILE
    return read_events(path) if path.is_file() else []


def _seconds(row: Mapping[str, object], key: str) -> float:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _per_step(events: Sequence[Mapping[str, object]], kind: str) -> float | None:
    """Wall seconds of a stage's logged stretch over its steps."""
    rows = [row for row in events if row.get("event") == kind]
    if len(rows) < 2:
        return None
    spent = [seconds.get("wall", 0.0) for row in rows[1:] if isinstance(seconds := row.get("seconds"), Mapping)]
    steps = _seconds(rows[-1], "step") - _seconds(rows[0], "step")
    return sum(spent) / steps if steps > 0 else None
