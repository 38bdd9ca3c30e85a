"""Numbers of a set with their errors, and the ratios of two models measured on the same captions and seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.wording import several
from qcgen.qc.protocol import Columns, Resampling, SetMetric
from qcgen.qc.resample import repeat, standard_error

_FIRST = ("frechet", "kid", "manifold")
"""Metrics that head a table; the others follow by name."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its standard error over other captions and seeds.

    Attributes:
        n: generated pictures behind it.
        how: the resampling scheme of the error.
        real: the same number of real pictures, where that means something.
    """

    value: float
    error: float
    n: int
    unit: str
    better: str
    how: Resampling
    real: float | None = None

    def __str__(self) -> str:
        return _words(self.value, self.error, percent=self.unit == "share")

    @property
    def real_words(self) -> str:
        """The real pictures' number at the same precision, or nothing."""
        if self.real is None:
            return ""
        return _words(self.real, self.error, percent=self.unit == "share").partition(" ±")[0]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One model's number over another's, with the error of the pair."""

    value: float
    error: float

    def __str__(self) -> str:
        return _words(self.value, self.error, percent=False)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between edges (one more edge than counts); what lies above the last edge is in the last bin."""

    edges: tuple[float, ...]
    generated: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What the numbers rest on: a file's or model's name and the digest of its content."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured of a model, and on what; the JSON of `qcgen eval` and the measures of a card.

    Attributes:
        real, held_out: real pictures in all, and those that no network was trained on.
        nearest: cosine distances to the nearest training picture.
        prompts: the commonest caption of each of the commonest products, for the contact sheet.
        ratios: to `against`, for every measure where both are positive.
        solver_steps: of a teacher; older files leave it out.
        repeated: each number on the rows of its resampling: what the errors of ratios are made of.
    """

    model: Source
    kind: str
    network_calls: int
    guidance_scale: float | None
    encoder: Source
    data: Source
    real: int
    held_out: int
    n: int
    seed: int
    machine: str
    pictures_per_second: float
    measures: Mapping[str, Estimate]
    nearest: Histogram
    prompts: tuple[str, ...]
    against: "Evaluation | None" = None
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    repeated: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    solver_steps: int | None = None

    @property
    def label(self) -> str:
        """What it is and how it was sampled, in a few words."""
        calls = several(self.network_calls, "call")
        guided = "" if self.guidance_scale is None else f", guidance {self.guidance_scale:g}"
        return f"{self.kind}, {calls}{guided}"


def read_evaluation(path: Path) -> Evaluation:
    """Read what `qcgen eval` wrote.

    Raises:
        SpecError: the file is missing or is something else.
    """
    if not path.is_file():
        raise SpecError(f"{path}: no such file. Cure: qcgen eval MODEL --data NPZ --out {path}")
    text = path.read_bytes()
    if b'"sweep"' in text[:200]:
        raise SpecError(f"{path}: holds a sweep of guidances. Cure: qcgen eval with one --guidance.")
    return parse_evaluation(text, str(path))


def parse_evaluation(text: bytes | str, where: str) -> Evaluation:
    """An evaluation from JSON.

    Raises:
        SpecError: it is something else; names the first wrong key.
    """
    try:
        return TypeAdapter(Evaluation).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        raise SpecError(
            f"{where}: {key}: not an evaluation ({first['msg']}). Cure: write it with `qcgen eval --out`."
        ) from error


def to_json(evaluation: Evaluation, *, repeated: bool = True) -> dict[str, object]:
    """As JSON knows it, floats at eight significant digits.

    Args:
        repeated: also what ratios are made of; a card leaves it out.
    """
    kept = evaluation if repeated else _without_repetitions(evaluation)
    rounded: dict[str, object] = _round(TypeAdapter(Evaluation).dump_python(kept, mode="json"))  # type: ignore[assignment]
    return rounded


def estimate(
    metrics: Mapping[str, SetMetric],
    real: Columns,
    held_out: Tensor,
    made: Columns,
    *,
    seed: int,
    show: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Estimate], dict[str, tuple[float, ...]]]:
    """Every number that the columns allow, and its repetitions; a metric whose columns are absent is left out.

    Args:
        real: columns of all real pictures.
        held_out: which of them no network was trained on.
        made: columns of the generated pictures.
        seed: of the resampling.
        show: told after each metric how many are done and how many there are.
    """
    estimates: dict[str, Estimate] = {}
    repeated: dict[str, tuple[float, ...]] = {}
    for place, metric in enumerate(metrics.values()):
        show(place, len(metrics))
        if not all(name in made and name in real for name in metric.reads):
            continue
        rows = held_out if metric.real_rows == "held_out" else torch.ones_like(held_out)
        metric.update(*(real[name][rows] for name in metric.reads), real=True)
        columns = [made[name] for name in metric.reads]
        n = len(columns[0])
        values = _compute(metric, columns, torch.arange(n))
        again = repeat(metric.resampling, n, seed, partial(_compute, metric, columns))
        reference = metric.reference()
        for name in values.keys() & again.keys():
            number = metric.numbers[name]
            estimates[name] = Estimate(
                value=values[name],
                error=standard_error(metric.resampling, again[name]),
                n=n,
                unit=number.unit,
                better=number.better,
                how=metric.resampling,
                real=reference.get(name),
            )
            repeated[name] = tuple(again[name])
    show(len(metrics), len(metrics))
    read_first = sorted(metrics.values(), key=lambda metric: (*(metric.name != name for name in _FIRST), metric.name))
    order = [name for metric in read_first for name in metric.numbers if name in estimates]
    return {name: estimates[name] for name in order}, repeated


def compare(one: Evaluation, other: Evaluation) -> Evaluation:
    """`one` beside `other`, with the ratios of all numbers that are positive in both.

    Their errors are to first order and paired: captions, noise and resampled rows are the same in both.

    Raises:
        SpecError: they do not rest on the same pictures, encoder, count and seed; lists what differs.
    """
    facts = {
        "encoder": (one.encoder.digest, other.encoder.digest),
        "data": (one.data.digest, other.data.digest),
        "n": (one.n, other.n),
        "seed": (one.seed, other.seed),
    }
    problems = [
        f"{one.model.name} against {other.model.name}: {name} must be the same (got {mine} and {theirs}). "
        "Cure: measure both with one `qcgen eval MODEL --against MODEL`."
        for name, (mine, theirs) in facts.items()
        if mine != theirs
    ]
    if problems:
        raise SpecError(problems)
    found: dict[str, Ratio] = {}
    for name, mine in one.measures.items():
        theirs = other.measures.get(name)
        if theirs is None or mine.value <= 0 or theirs.value <= 0:
            continue
        if name in one.repeated and name in other.repeated:
            relative = np.array(one.repeated[name]) / mine.value - np.array(other.repeated[name]) / theirs.value
            ratio = mine.value / theirs.value
            found[name] = Ratio(ratio, ratio * standard_error(mine.how, relative))
    return replace(one, against=replace(other, against=None, ratios={}), ratios=found)


def histogram(generated: Tensor, held_out: Tensor, *, bins: int = 40) -> Histogram:
    """Bins from 0 to the 99.5 % quantile of both."""
    top = float(np.quantile(np.concatenate([generated.numpy(), held_out.numpy()]), 0.995))
    edges = np.linspace(0, max(top, 1e-6), bins + 1)

    def counts(values: Tensor) -> tuple[int, ...]:
        return tuple(int(count) for count in np.histogram(np.clip(values.numpy(), 0, edges[-1]), edges)[0])

    return Histogram(tuple(float(edge) for edge in edges), counts(generated), counts(held_out))


def _compute(metric: SetMetric, columns: Sequence[Tensor], rows: Tensor) -> dict[str, float]:
    metric.reset()
    metric.update(*(column[rows] for column in columns), real=False)
    return dict(metric.compute())


def _words(value: float, error: float, *, percent: bool) -> str:
    """Value and error to the error's second significant digit."""
    scale, sign = (100, " %") if percent else (1, "")
    value, error = scale * value, scale * error
    # What rounding leaves of a pair that moves together counts as no error.
    digits = 3 if error <= 1e-9 * abs(value) else min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f}{sign} ± {error:.{digits}f}"


def _without_repetitions(evaluation: Evaluation) -> Evaluation:
    other = evaluation.against
    return replace(evaluation, repeated={}, against=None if other is None else replace(other, repeated={}))


def _round(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, Mapping):
        return {key: _round(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_round(one) for one in value]
    return value
