"""Control charts of a job's nights: shares as Laney's p', medians as individuals with an EWMA. Limits are learned from
the first 20 nights after an approved baseline and judge all that follow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qcgen.core.control import NEEDED_RUNS, Ewma, ewma, individuals, laney, one_sided_runs, typical
from qcgen.report.nights import Numbers, Slot

BEYOND, RUN, EWMA = "beyond 3 sigma", "8 on one side", "EWMA"


@dataclass(frozen=True, slots=True)
class Judged:
    """One night on a chart. `low`, `high`: None while limits are learned. `rules`: those that alarm."""

    value: float
    size: int
    centre: float
    low: float | None = None
    high: float | None = None
    rules: tuple[str, ...] = ()
    smoothed: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """`points` has an entry a slot, None where there is no value. `share`: values are shares, else a detector's."""

    name: str
    title: str
    share: bool
    points: tuple[Judged | None, ...]

    @property
    def judged(self) -> int:
        """Nights that were held against limits."""
        return sum(point is not None and point.high is not None for point in self.points)


def share_chart(slots: Sequence[Slot], name: str, title: str, share: Callable[[Numbers], tuple[int, int]]) -> Chart:
    """`share` gives count and of."""
    given: list[tuple[float, int] | None] = []
    for slot in slots:
        count, of = share(slot.numbers) if slot.numbers else (0, 0)
        given.append((count / of, of) if of else None)
    return Chart(name, title, True, _judge(slots, given, _judge_shares))


def median_chart(slots: Sequence[Slot], detector: str, title: str) -> Chart:
    given: list[tuple[float, int] | None] = []
    for slot in slots:
        value = slot.numbers.medians.get(detector) if slot.numbers else None
        given.append(None if value is None else (value, slot.numbers.generated if slot.numbers else 0))
    return Chart(detector, title, False, _judge(slots, given, _judge_medians))


_Values = Sequence[tuple[float, int]]


def _judge(
    slots: Sequence[Slot], given: Sequence[tuple[float, int] | None], judge: Callable[[_Values], list[Judged]]
) -> tuple[Judged | None, ...]:
    """Each stretch between baselines by itself."""
    starts = [place for place, slot in enumerate(slots) if place == 0 or slot.baseline is not None]
    points: list[Judged | None] = [None] * len(given)
    for start, stop in zip(starts, [*starts[1:], len(given)], strict=True):
        places = [place for place in range(start, stop) if given[place] is not None]
        known = [value for place in places if (value := given[place]) is not None]
        for place, point in zip(places, judge(known), strict=True):
            points[place] = point
    return tuple(points)


def _judge_shares(values: _Values) -> list[Judged]:
    if len(values) < NEEDED_RUNS:
        return _only_median(values)
    chart = laney(values[:NEEDED_RUNS])
    runs = one_sided_runs([value for value, _ in values], chart.centre)
    judged = []
    for place, (value, size) in enumerate(values):
        limits = chart.limits(size)
        rules = _rules(value, limits.low, limits.high, place in runs)
        judged.append(Judged(value, size, chart.centre, limits.low, limits.high, rules))
    return judged


def _judge_medians(values: _Values) -> list[Judged]:
    if len(values) < NEEDED_RUNS:
        return _only_median(values)
    numbers = [value for value, _ in values]
    chart = individuals(numbers[:NEEDED_RUNS])
    runs, smooth = one_sided_runs(numbers, chart.centre), ewma(numbers)
    judged = []
    for place, (value, size) in enumerate(values):
        low, high = chart.limits.low, chart.limits.high
        smoothed, moved = _smoothed(smooth, place - (len(values) - len(smooth.values) if smooth else 0))
        rules = (*_rules(value, low, high, place in runs), *((EWMA,) if moved else ()))
        judged.append(Judged(value, size, chart.centre, low, high, rules, smoothed))
    return judged


def _smoothed(chart: Ewma | None, place: int) -> tuple[float | None, bool]:
    if chart is None or place < 0:
        return None, False
    value = chart.values[place]
    return value, abs(value - chart.centre) > chart.reach[place]


def _only_median(values: _Values) -> list[Judged]:
    middle = typical([value for value, _ in values]) or 0.0
    return [Judged(value, size, middle) for value, size in values]


def _rules(value: float, low: float, high: float, run: bool) -> tuple[str, ...]:
    return ((BEYOND,) if value < low or value > high else ()) + ((RUN,) if run else ())
