"""Which of several students is best for a purpose, and how sure that is. Pure: numbers with their repetitions in.

All students were measured on the same captions and noise, and their numbers were computed again on the same rows
(`resample`), so what they share cancels: differences are known better than the numbers. Errors of different measures
are taken as independent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcgen.core.pilotresult import MATTERS
from qcgen.qc.protocol import Resampling
from qcgen.qc.resample import deviations

DRAWS = 20_000
TIED = 0.025
"""A student that is better than the first with at least this probability cannot be told apart from it: two errors."""
SATURATION_BAND = 1.25
"""Mean chroma over or under the real pictures' by this factor breaks the guard."""
KID_FACTOR = 1.5
"""So does, where the purpose guards it, a KID over the best one's by this factor."""
_AFFORDABLE = 50

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """A number of one student, and the same number on each repetition's rows."""

    value: float
    repeated: tuple[float, ...]
    how: Resampling
    real: float | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """`sign` 1 where higher is better. `tolerance`: the smallest difference that matters; `relative` to the median."""

    sign: int
    tolerance: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """What a purpose asks for: weights that sum to 1, and whether KID is guarded beside the saturation."""

    weights: Mapping[str, float]
    guards_kid: bool = False


SCALES: Mapping[str, Scale] = {
    "kid": Scale(-1, 0.05, relative=True),
    "recall": Scale(1, 0.01),
    "clip_score": Scale(1, 0.2),
}
AIMS: Mapping[str, Aim] = {
    "quality": Aim({"kid": 0.5, "clip_score": 0.5}),
    "balance": Aim({"kid": 1 / 3, "recall": 1 / 3, "clip_score": 1 / 3}),
    "coverage": Aim({"recall": 0.7, "kid": 0.3}, guards_kid=True),
}
GUARDED = "saturation"


@dataclass(frozen=True, slots=True)
class Standing:
    """One student's place.

    Attributes:
        place: its index in what was ranked.
        score: weighted sum of its differences from the mean student, in points: a point is the usual standard error of
            a difference of two students, or the smallest difference that matters, whichever is larger.
        error: of the score.
        best: probability of being the best.
        beats_first: probability of being better than the first; 0.5 for the first itself.
        behind: score of the first less its own, with `behind_error`.
        tied: whether it cannot be told apart from the first, or only by what does not matter.
        pictures: how many would make the difference two errors; None where it is so already, too many would, or it does
            not matter.
        broken: guards that its numbers break.
    """

    place: int
    score: float
    error: float
    best: float
    beats_first: float
    behind: float
    behind_error: float
    tied: bool
    pictures: int | None
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean score of the students that share a value of a key."""

    label: str
    students: int
    score: float
    error: float


def rank(students: Sequence[Mapping[str, Measured]], aim: Aim, *, n: int, seed: int) -> list[Standing]:
    """Best first: those that break no guard before those that do, then by score, then in the order given.

    Args:
        students: numbers by measure; each has those that the aim weighs, and `saturation` with its real value.
        n: pictures behind the numbers.
        seed: of the draws.

    Source: the draws are multivariate t with the paired covariance of the repetitions (blocks, jackknife or bootstrap).
    """
    drawn = _draw(students, aim, seed)
    scores, broken = _scores(drawn.draws, drawn, aim), _broken(drawn.draws, drawn, aim)
    at_value = _scores(drawn.values, drawn, aim)[0]
    guards = _broken_names(drawn, aim)
    order = sorted(range(len(students)), key=lambda i: (bool(guards[i]), -at_value[i], i))
    keyed = np.where(broken.all(1, keepdims=True) | ~broken, scores, -np.inf)
    wins = keyed >= keyed.max(1, keepdims=True) - 1e-12
    chances = (wins / wins.sum(1, keepdims=True)).mean(0)
    first, centred = order[0], scores - scores.mean(1, keepdims=True)
    standings = []
    for i in order:
        behind, behind_error = float(at_value[first] - at_value[i]), float((scores[:, first] - scores[:, i]).std())
        level = np.isclose(keyed[:, i], keyed[:, first], rtol=0, atol=1e-12)
        ahead = float(((keyed[:, i] > keyed[:, first]) & ~level).mean() + level.mean() / 2)
        standings.append(
            Standing(
                i,
                score=float(at_value[i]),
                error=float(centred[:, i].std()),
                best=float(chances[i]),
                beats_first=ahead,
                behind=behind,
                behind_error=behind_error,
                tied=ahead >= TIED or (behind < MATTERS and bool(guards[i]) == bool(guards[first])),
                pictures=_pictures(behind, behind_error, n),
                broken=guards[i],
            )
        )
    return standings


def effects(students: Sequence[Mapping[str, Measured]], aim: Aim, labels: Sequence[str], *, seed: int) -> list[Effect]:
    """The mean score of each group of students, in the order of first appearance.

    Args:
        labels: the group of each student.
    """
    drawn = _draw(students, aim, seed)
    scores, at_value = _scores(drawn.draws, drawn, aim), _scores(drawn.values, drawn, aim)[0]
    centred = scores - scores.mean(1, keepdims=True)
    found = []
    for label in dict.fromkeys(labels):
        own = np.array([one == label for one in labels])
        error = float(centred[:, own].mean(1).std())
        found.append(Effect(label, int(own.sum()), float(at_value[own].mean()), error))
    return found


@dataclass(frozen=True, slots=True)
class _Drawn:
    """By measure: values `1 students`, draws `draws students`; the unit of a point; the real pictures' saturation."""

    values: Mapping[str, _Array]
    draws: Mapping[str, _Array]
    units: Mapping[str, float]
    real: float | None


def _draw(students: Sequence[Mapping[str, Measured]], aim: Aim, seed: int) -> _Drawn:
    rng = np.random.default_rng(seed)
    values, draws, units = {}, {}, {}
    for name in [*aim.weights, GUARDED]:
        column = [one[name] for one in students]
        values[name] = np.array([[one.value for one in column]])
        spread = deviations(column[0].how, np.array([one.repeated for one in column]).T)
        # The errors are known from few repetitions only: a t distribution allows for it.
        freedom = len(spread) - 1
        width = np.sqrt(freedom / rng.chisquare(freedom, (DRAWS, 1)))
        draws[name] = values[name] + width * (rng.standard_normal((DRAWS, len(spread))) @ spread)
        if name in aim.weights:
            units[name] = _unit(SCALES[name], values[name][0], spread)
    return _Drawn(values, draws, units, students[0][GUARDED].real)


def _unit(scale: Scale, values: _Array, spread: _Array) -> float:
    size = float(np.median(np.abs(values))) if scale.relative else 1.0
    pairs = [
        math.sqrt(float(np.square(spread[:, i] - spread[:, j]).sum()))
        for i in range(len(values))
        for j in range(i + 1, len(values))
    ]
    alone = math.sqrt(float(np.square(spread).sum(0).mean()))
    return max(float(np.median(pairs)) if pairs else alone, scale.tolerance * size, 1e-12)


def _scores(numbers: Mapping[str, _Array], drawn: _Drawn, aim: Aim) -> _Array:
    points = [
        weight * SCALES[name].sign * (numbers[name] - drawn.values[name].mean()) / drawn.units[name]
        for name, weight in aim.weights.items()
    ]
    total: _Array = np.sum(points, axis=0)
    return total


def _broken(numbers: Mapping[str, _Array], drawn: _Drawn, aim: Aim) -> npt.NDArray[np.bool_]:
    off = _off_saturation(numbers, drawn)
    return off | _far_kid(numbers, drawn) if aim.guards_kid else off


def _off_saturation(numbers: Mapping[str, _Array], drawn: _Drawn) -> npt.NDArray[np.bool_]:
    chroma = numbers[GUARDED]
    if not drawn.real:
        return np.zeros(chroma.shape, dtype=bool)
    low, high = drawn.real / SATURATION_BAND, drawn.real * SATURATION_BAND
    return np.asarray((chroma < low) | (chroma > high))


def _far_kid(numbers: Mapping[str, _Array], drawn: _Drawn) -> npt.NDArray[np.bool_]:
    kid = numbers["kid"]
    best = kid.min(1, keepdims=True)
    # Near zero a factor means nothing: there two units are allowed.
    return np.asarray(kid > best + np.maximum((KID_FACTOR - 1) * np.abs(best), 2 * drawn.units["kid"]))


def _broken_names(drawn: _Drawn, aim: Aim) -> list[tuple[str, ...]]:
    rules = {GUARDED: _off_saturation(drawn.values, drawn)[0]}
    if aim.guards_kid:
        rules["kid"] = _far_kid(drawn.values, drawn)[0]
    return [tuple(name for name, row in rules.items() if row[i]) for i in range(len(rules[GUARDED]))]


def _pictures(behind: float, error: float, n: int) -> int | None:
    """Errors shrink with the root of the number of pictures."""
    if behind < MATTERS or behind >= 2 * error:
        return None
    needed = n * (2 * error / behind) ** 2
    # Two digits: no more is known of it.
    return int(float(f"{needed:.1e}")) if needed <= _AFFORDABLE * n else None
