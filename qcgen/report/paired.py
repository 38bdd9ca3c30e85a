"""Statistics of paired differences. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest, bootstrap, false_discovery_control, t, ttest_1samp

from qcgen.report.pairs import Values

LEVEL = 0.05
RESAMPLES = 2_000
BOOTSTRAPPED = 5_000
"""Pairs up to which the interval is a bootstrap; beyond, Student's interval is the same in every digit shown."""
TIE = 0.01
"""A difference below this share of the reference's standard deviation is a tie."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Other less one.

    Attributes:
        sign: 1 where a larger number is better, -1 where a smaller one is, 0 where nobody knows.
        low, high: 95 % interval of the mean difference.
        effect: mean difference in standard deviations of the reference.
        p: of the paired t-test. `q`: after Benjamini and Hochberg over all that were tested together.
        up, ties, down: pairs whose difference is positive, none, negative.
    """

    name: str
    sign: int
    pairs: int
    one: float
    other: float
    low: float
    high: float
    effect: float
    p: float
    up: int
    ties: int
    down: int
    q: float = 1.0

    @property
    def mean(self) -> float:
        return self.other - self.one

    @property
    def better(self) -> int:
        """1 better, -1 worse, 0 not told apart (or no direction is known)."""
        return 0 if self.q >= LEVEL else self.sign * (1 if self.mean > 0 else -1)

    @property
    def wins(self) -> int:
        return self.down if self.sign < 0 else self.up

    @property
    def losses(self) -> int:
        return self.up if self.sign < 0 else self.down


def difference(name: str, one: Values, other: Values, *, sign: int) -> Difference | None:
    """Of pairs that both have a value; None with fewer than two."""
    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both], other[both]
    if len(one) < 2:
        return None
    gaps = other - one
    spread = float(one.std(ddof=1))
    # Rounding noise in pictures that did not change is no difference.
    still = np.abs(gaps) <= max(TIE * spread, 1e-12 * float(np.abs(one).max(initial=0.0)))
    low, high = mean_interval(gaps)
    return Difference(
        name=name,
        sign=sign,
        pairs=len(one),
        one=float(one.mean()),
        other=float(other.mean()),
        low=low,
        high=high,
        effect=float(gaps.mean()) / spread if spread else 0.0,
        p=_p_value(gaps),
        up=int(((gaps > 0) & ~still).sum()),
        ties=int(still.sum()),
        down=int(((gaps < 0) & ~still).sum()),
    )


def correct(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """With q values: of all that are called different, at most 5 % wrongly so on average."""
    if not found:
        return ()
    values = false_discovery_control([one.p for one in found], method="bh")
    return tuple(replace(one, q=float(q)) for one, q in zip(found, values, strict=True))


def mean_interval(gaps: Values) -> tuple[float, float]:
    """95 % interval of a mean."""
    middle = float(gaps.mean())
    if _constant(gaps):
        return middle, middle
    if len(gaps) > BOOTSTRAPPED:
        reach = float(t.ppf(0.975, len(gaps) - 1)) * float(gaps.std(ddof=1)) / len(gaps) ** 0.5
        return middle - reach, middle + reach
    drawn = bootstrap(
        (gaps,), np.mean, n_resamples=RESAMPLES, method="percentile", batch=200, rng=np.random.default_rng(0)
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def mcnemar(gained: int, lost: int) -> float:
    """Exact p that gains and losses are equally likely."""
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def _p_value(gaps: Values) -> float:
    if _constant(gaps):
        return 1.0 if float(gaps.mean()) == 0 else 0.0
    return float(ttest_1samp(gaps, 0.0).pvalue)


def _constant(gaps: Values) -> bool:
    """Alike but for rounding, of which no spread can be taken."""
    return float(np.ptp(gaps)) <= 1e-9 * float(np.abs(gaps).max())
