"""Standard errors of set metrics: which rows to compute again on, and what the spread of the results means.

Only the generated pictures are resampled: an error says how much a number would move with other captions and seeds, the
real set held fixed. The rows depend on n and the seed alone, so that two models measured on the same captions and seeds
have paired results, and the error of their ratio does not count what they share.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from qcgen.qc.protocol import Resampling

RESAMPLES = 50
GROUPS = 20
BLOCKS = 10


def resample(how: Resampling, n: int, seed: int) -> list[Int[Tensor, " m"]]:
    """Rows of each repetition.

    Args:
        how: `bootstrap`: n of n drawn with replacement, `RESAMPLES` times. For smooth functions of means and
            covariances; a repeated row would shrink a distance to the nearest neighbour to zero.
            `jackknife`: all rows but one of `GROUPS` random groups (delete-a-group). For neighbours and pairs.
            `blocks`: `BLOCKS` disjoint parts. For estimators that are unbiased at any size (KID).
        n: rows in all.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    if how == "bootstrap":
        return [torch.from_numpy(rng.integers(n, size=n)) for _ in range(RESAMPLES)]
    parts = np.array_split(rng.permutation(n), GROUPS if how == "jackknife" else BLOCKS)
    if how == "blocks":
        return [torch.from_numpy(np.sort(part)) for part in parts]
    return [torch.from_numpy(np.setdiff1d(np.arange(n), part)) for part in parts]


_FACTORS: dict[Resampling, float] = {
    "bootstrap": 1.0,
    # sqrt((g - 1) / g * sum of squared deviations), Efron and Tibshirani 1993, chapter 11.
    "jackknife": (GROUPS - 1) / sqrt(GROUPS),
    "blocks": 1 / sqrt(BLOCKS),
}


def standard_error(how: Resampling, repeated: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """The standard error of a number from its repetitions on `resample`'s rows."""
    return _FACTORS[how] * float(np.std(repeated, ddof=1))


def deviations(how: Resampling, repeated: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Repetitions of several sets' numbers as deviations whose sums of products are the numbers' covariances.

    Args:
        repeated: `repetitions sets`; all sets were computed again on the same rows, so that their errors are paired.

    Returns:
        `repetitions sets`; the root of a column's sum of squares is its `standard_error`.
    """
    spread: npt.NDArray[np.float64] = repeated - repeated.mean(0)
    return _FACTORS[how] / sqrt(len(repeated) - 1) * spread


def repeat(
    how: Resampling, n: int, seed: int, compute: Callable[[Int[Tensor, " m"]], dict[str, float]]
) -> dict[str, list[float]]:
    """Every number of `compute` on each repetition's rows; numbers that a repetition lacks are left out altogether."""
    found = [compute(rows) for rows in resample(how, n, seed)]
    names = set.intersection(*(set(one) for one in found))
    return {name: [one[name] for one in found] for name in sorted(names)}
