"""Confidence intervals of shares."""

from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of` with a two-sided interval; `rate` is None when there is nothing to divide by."""

    count: int
    of: int
    low: float
    high: float

    @property
    def rate(self) -> float | None:
        return self.count / self.of if self.of else None


def wilson(count: int, of: int, *, level: float = 0.95) -> Share:
    """Wilson's score interval: right on average, good for small slices that are compared with each other."""
    return _interval(count, of, level, "wilson")


def exact(count: int, of: int, *, level: float = 0.95) -> Share:
    """Clopper-Pearson: covers the true share at least `level` of the time, so a little wide."""
    return _interval(count, of, level, "exact")


def upper_bound(count: int, of: int, *, level: float = 0.95) -> float:
    """One-sided Clopper-Pearson bound: the true share is below it with confidence `level`."""
    if of == 0:
        return 1.0
    return float(binomtest(count, of, alternative="less").proportion_ci(level, method="exact").high)


def _interval(count: int, of: int, level: float, method: str) -> Share:
    if of == 0:
        return Share(count, of, 0.0, 1.0)
    interval = binomtest(count, of).proportion_ci(level, method=method)
    return Share(count, of, float(interval.low), float(interval.high))
