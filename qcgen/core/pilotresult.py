"""What a pilot found: `pilot.json`, from which its report and its table are made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.pilotspec import Purpose

RESULT_FILE = "pilot.json"
RECOMMENDED_FILE = "recommended.yaml"
MATTERS = 0.5
"""Points: a trial that is behind by fewer is as good for all that matters."""


@dataclass(frozen=True, slots=True)
class PilotNumber:
    """A measure with its standard error, and the real pictures' own where that means something."""

    value: float
    error: float
    unit: str
    better: str
    real: float | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A trial at a rung.

    Attributes:
        steps: matching steps done.
        score: in points against the mean trial of this rung, with `error` (`qc.ranking.Standing`).
        best: probability of being the best of this rung.
        broken: guards that its numbers break.
    """

    steps: int
    measures: Mapping[str, PilotNumber]
    score: float
    error: float
    best: float
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One setting, and how far it came.

    Attributes:
        place: 1 for the recommended one; those that went further come first, those that were lost have none.
        setting: the grid's keys and values in words.
        visits: one a rung.
        rollbacks: how often the training went back.
        lost: why it was ended, if it was.
        behind: points behind the recommended one at the last rung, with `behind_error`; None where it was not there.
        tied: whether it cannot be told apart from the recommended one.
        pictures: how many pictures would tell them apart, where an affordable number would.
    """

    name: str
    place: int | None
    setting: Mapping[str, str]
    visits: tuple[Visit, ...]
    rollbacks: int
    lost: str | None
    behind: float | None = None
    behind_error: float | None = None
    tied: bool = False
    pictures: int | None = None

    @property
    def label(self) -> str:
        return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in self.setting.items())


@dataclass(frozen=True, slots=True)
class Cut:
    """A rung: which trials came, which went on. `thrown_away`: probability that the best was among those cut."""

    steps: int
    entered: tuple[str, ...]
    kept: tuple[str, ...]
    thrown_away: float


@dataclass(frozen=True, slots=True)
class KeyEffect:
    """Mean score at the first rung of the trials that share a key's value."""

    key: str
    value: str
    trials: int
    score: float
    error: float


@dataclass(frozen=True, slots=True)
class PilotResult:
    """Everything but times: the same job gives the same result, however often it was interrupted.

    Attributes:
        settings: combinations of the grid, of which `trials` were tried.
        chance: probability that the recommended trial is the best of those at the last rung; None if all were lost.
        weights: of the score, by measure.
    """

    version: int
    name: str
    purpose: Purpose
    base: str
    base_steps: int
    budget: float
    n: int
    seed: int
    clip: str
    settings: int
    weights: Mapping[str, float]
    trials: tuple[TrialResult, ...]
    cuts: tuple[Cut, ...]
    effects: tuple[KeyEffect, ...]
    recommended: str | None
    chance: float | None

    @property
    def winner(self) -> TrialResult | None:
        return next((trial for trial in self.trials if trial.name == self.recommended), None)

    @property
    def tied(self) -> tuple[TrialResult, ...]:
        """Those that cannot be told apart from the recommended one, without it."""
        return tuple(trial for trial in self.trials if trial.tied and trial.name != self.recommended)


def to_json(result: PilotResult) -> str:
    """As text, floats at eight significant digits."""
    return json.dumps(_rounded(TypeAdapter(PilotResult).dump_python(result, mode="json")), indent=1) + "\n"


def read_result(folder: Path) -> PilotResult:
    """The result of the pilot in a folder.

    Raises:
        PrerequisiteError: there is none (yet).
        SpecError: the file holds something else.
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        raise PrerequisiteError(f"{path}: missing. Cure: qcgen pilot JOB.yaml")
    try:
        return TypeAdapter(PilotResult).validate_json(path.read_bytes())
    except ValidationError as error:
        raise SpecError(f"{path}: not the result of a pilot ({error.errors()[0]['msg']}). Cure: --resume it.") from None


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
