"""How well scores tell spoiled pictures from clean ones. Scores are badness: higher is worse, -inf has no value."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

Values = npt.NDArray[np.float64]

RESAMPLES = 200
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Separation:
    """AUROC with the 95 % interval of a bootstrap, and the share beyond the limit (None without one)."""

    auroc: float
    low: float
    high: float
    recall: float | None


def auroc(clean: Values, spoiled: Values) -> float:
    """Probability that a spoiled picture scores worse than a clean one; a tie is half."""
    return float(_wins(clean, spoiled).mean())


def separate(clean: Values, spoiled: Values, limit: float | None, *, seed: int) -> Separation:
    """Compare disjoint pictures; each row is a base picture, so resampling rows is resampling bases."""
    wins = _wins(clean, spoiled)
    counts_clean, counts_spoiled = _counts(len(clean), seed), _counts(len(spoiled), seed + 1)
    repeated = ((counts_spoiled @ wins) * counts_clean).sum(1) / wins.size
    low, high = np.quantile(repeated, [0.025, 0.975])
    recall = None if limit is None else float((spoiled > limit).mean())
    return Separation(float(wins.mean()), float(low), float(high), recall)


def conformal_limit(reference: Values, alpha: float) -> float | None:
    """The score that clean pictures exceed with probability at most alpha; None where the reference is too small, or a
    picture without a value would be the limit."""
    rank = math.ceil((len(reference) + 1) * (1 - alpha) - 1e-9)
    if rank > len(reference):
        return None
    limit = float(np.sort(reference)[rank - 1])
    return limit if math.isfinite(limit) else None


@lru_cache(maxsize=4096)
def exact_interval(count: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval of a share."""
    interval = binomtest(count, of).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)


def worst_share(badness: Values, bad: npt.NDArray[np.bool_], share: float) -> float:
    """Share of the bad pictures that are among the worst `share` of all; ties count in part."""
    wanted = share * len(badness)
    found = 0.0
    for value in np.unique(badness)[::-1]:
        tied = badness == value
        taken = min(1.0, wanted / tied.sum())
        found += taken * float((tied & bad).sum())
        wanted -= taken * float(tied.sum())
        if wanted <= 0:
            break
    return found / max(1, int(bad.sum()))


def folds_by_group(groups: Sequence[str], *, seed: int | None = None) -> npt.NDArray[np.int64]:
    """One of up to five folds for each row; rows of one group are in one fold.

    Args:
        seed: folds get equally many groups, in a drawn order; None: about equally many rows, the largest group first.
    """
    rows = Counter(groups)
    names, weights = sorted(rows, key=lambda one: (-rows[one], one)), rows
    if seed is not None:
        names, weights = sorted(rows), Counter(set(groups))
        names = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    filled = [0] * min(_FOLDS, len(names))
    fold: dict[str, int] = {}
    for name in names:
        fold[name] = filled.index(min(filled))
        filled[fold[name]] += weights[name]
    return np.array([fold[group] for group in groups])


def _wins(clean: Values, spoiled: Values) -> Values:
    wins: Values = 0.5 * (spoiled[:, None] == clean[None, :]) + (spoiled[:, None] > clean[None, :])
    return wins


@lru_cache(maxsize=64)
def _counts(n: int, seed: int) -> Values:
    """How often each row is in each resample."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)
