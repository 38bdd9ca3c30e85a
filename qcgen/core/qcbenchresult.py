"""What `qcgen bench qc` found: `qc.json`, from which its page, its Markdown and its tables on the terminal are made.

Floats are rounded to four digits after the point when written. A number that could not be measured is null.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

RESULT_FILE = "qc.json"

DEVICES_APART, SAME_VERDICT = 1e-4, 0.999
"""CPU and GPU: largest difference of a score, of its size where that is above 1, and share of equal verdicts."""

COPIES_RECALL, FALSE_PAIRS = 0.98, 0.001
"""Near duplicates: share of copies found whatever was done to them, and share of pairs of others that are taken."""
COPIES_BEYOND = ("shift and JPEG q30", "mirror, brighter, rescale")
"""Shown in the table, no part of the target."""

State = Literal["pass", "miss", "unmeasured"]


@dataclass(frozen=True, slots=True)
class Curve:
    """One detector against one corruption, one number a severity measured (`Domain.severities`).

    Attributes:
        n: spoiled pictures.
        auroc: against the domain's clean pictures that were not spoiled; `low` and `high` are the 95 % interval of a
            bootstrap by base picture.
        recall: share of spoiled pictures beyond the detector's own conformal limit; None without a limit.
    """

    n: int
    auroc: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    recall: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Flagged:
    """Clean pictures that were flagged, of so many, with the exact (Clopper-Pearson) 95 % interval."""

    flagged: int
    of: int
    low: float
    high: float

    @property
    def rate(self) -> float | None:
        return self.flagged / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class DetectorOn:
    """One detector on one domain.

    Attributes:
        scored: share of clean pictures that have a value; the others can never be flagged by it.
        limit: conformal, in the detector's unit and direction; None where too few calibration pictures have a value.
        clean: of the clean test part, beyond the limit.
        bases: AUROC of the pictures to be spoiled while they are still clean; 0.5 but for the draw. A curve near it
            sees nothing.
        curves: by corruption.
        alone_ms: per picture when no other detector has made a shared feature.
    """

    scored: float
    limit: float | None
    clean: Flagged
    bases: float
    curves: Mapping[str, Curve]
    alone_ms: float | None


@dataclass(frozen=True, slots=True)
class Layer:
    """The whole layer with one calibration on the clean test part of a domain.

    Attributes:
        calibration: a domain's name, or the name of a built-in profile.
        all: every clean picture; `groups` the same by generator or source.
        reasons: how many pictures each detector flagged; a picture can have several.
        why: why it could not be measured, None where it was.
    """

    calibration: str
    all: Flagged | None
    groups: Mapping[str, Flagged]
    reasons: Mapping[str, int]
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Copies:
    """The search for duplicates on a domain.

    Attributes:
        found: copies that were named near to their original, by what was done to them.
        pairs: of different clean pictures, how many were taken for duplicates; what the data holds twice counts too.
    """

    found: Mapping[str, Flagged]
    pairs: Flagged


@dataclass(frozen=True, slots=True)
class Domain:
    """A kind of clean pictures.

    Attributes:
        together_ms: all pixel detectors on one batch, per picture.
        packshots: whole products on a white ground.
        asked: something was asked for: products, colours.
        copies: None where they were not measured.
    """

    name: str
    about: str
    sizes: tuple[str, ...]
    calibrate: int
    clean: int
    corrupt: int
    severities: tuple[int, ...]
    detectors: Mapping[str, DetectorOn]
    layers: tuple[Layer, ...]
    together_ms: float | None
    packshots: bool = False
    asked: bool = False
    copies: Copies | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target on one domain: the detector that did best, or why nothing was measured.

    Attributes:
        gate: `A6` and so on, of the target list.
        wanted, got: in words.
    """

    gate: str
    what: str
    domain: str
    wanted: str
    detector: str | None
    got: str
    state: State


@dataclass(frozen=True, slots=True)
class Opinion:
    """How well one score agrees with people: AUROC of bad against good pictures with its interval, and what share of
    the bad is in the worst fifth."""

    auroc: float
    low: float
    high: float
    recall_at_fifth: float


@dataclass(frozen=True, slots=True)
class People:
    """Against people's scores; `correlation` is Spearman's with the mean opinion, by generator, then detector.

    Attributes:
        learned: a monotone combination, cross-validated by prompt; `weights` are of a fit to all pictures.
    """

    domain: str
    n: int
    good: int
    bad: int
    detectors: Mapping[str, Opinion]
    joint: Opinion
    learned: Opinion
    weights: Mapping[str, float]
    correlation: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Devices:
    """The same pictures on the CPU and on another device.

    Attributes:
        device: as torch names it.
        apart: largest difference of each detector's scores, relative where a score is above 1; None where one of the
            two had no value.
        verdicts: that differ, of the pictures compared.
    """

    device: str
    apart: Mapping[str, float | None]
    verdicts: Flagged


@dataclass(frozen=True, slots=True)
class Machine:
    processor: str
    cores: int
    threads: int
    load: float
    python: str
    torch: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a detector has shown: for each domain, the corruptions on which it reached the target."""

    version: int
    passed: Mapping[str, tuple[str, ...]]
    missed: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class QcBench:
    """Everything that one measurement of the layer found."""

    version: int
    created: str
    seconds: float
    seed: int
    alpha: float
    quick: bool
    machine: Machine
    domains: tuple[Domain, ...]
    verdicts: tuple[Verdict, ...]
    standings: Mapping[str, Standing]
    people: People | None
    devices: Devices | None = None


def to_json(result: QcBench) -> str:
    """As text: a line a curve, so that versions can be compared and the file stays small."""
    plain = _rounded(TypeAdapter(QcBench).dump_python(result, mode="json"))
    return _written(plain, 0) + "\n"


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value


_DEEP = 5


def _written(value: object, depth: int) -> str:
    """Indented by one down to a curve, which is one line."""
    if depth > _DEEP or not isinstance(value, dict | list) or not value:
        return json.dumps(value, allow_nan=False)
    inside = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {_written(one, depth + 1)}" for key, one in value.items()]
        return "{" + inside + f",{inside}".join(rows) + "\n" + " " * depth + "}"
    return "[" + inside + f",{inside}".join(_written(one, depth + 1) for one in value) + "\n" + " " * depth + "]"
