"""Importances from what people decided: a logistic fit of rejected on -log p of each detector, weights never negative.

A policy is proposed, not set. Its queue and escapes are predicted on products that it was not fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcgen.core.errors import SpecError
from qcgen.qc.learned import fit

FEWEST_REJECTS = 30
_RIDGE = 1e-3
_LEAST = 0.02
_DRAWS = 1000

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a policy does: the share that goes to people, and the bad share among what it passes."""

    queue: Estimate
    escapes: Estimate


def refuse_too_few(rejects: int, audited: int, products: int) -> None:
    """Raises SpecError with every reason why nothing can be learnt, each with its cure."""
    problems = []
    if rejects < FEWEST_REJECTS:
        problems.append(
            f"learn: needs at least {FEWEST_REJECTS} rejected pictures (got {rejects}). Cure: more decisions, or runs."
        )
    if not audited:
        problems.append(
            "learn: needs decisions on accepted pictures too, or nobody knows what escapes (got 0). Cure: look at "
            "`qcgen runs sample RUN`."
        )
    if products < 2:
        problems.append(
            f"learn: needs at least 2 products to cross-validate by (got {products}). Cure: another --by, or more runs."
        )
    if problems:
        raise SpecError(problems)


def fit_weights(surprise: Numbers, rejected: npt.NDArray[np.bool_], weight: Numbers) -> Numbers:
    """Non-negative weights of the columns of `surprise` (-log p, `n k`) in a weighted logistic fit with intercept."""
    n = len(weight)
    return fit(surprise, rejected, weight=n * weight / weight.sum(), ridge=_RIDGE * n)[1]


def importances(names: Sequence[str], weights: Numbers) -> dict[str, float]:
    """Weights over the largest; what is below 2 % of it is 0.

    Raises:
        SpecError: all are 0.
    """
    largest = float(weights.max(initial=0.0))
    if largest <= 1e-6:
        raise SpecError(
            "learn: no detector tells rejected pictures from accepted ones. Cure: keep the importances; the faults "
            "that people see need another detector."
        )
    shares = (weights / largest).round(3)
    return {name: float(share) if share >= _LEAST else 0.0 for name, share in zip(names, shares, strict=True)}


def predict(
    flagged: npt.NDArray[np.bool_], rejected: npt.NDArray[np.bool_], weight: Numbers, *, seed: int = 0
) -> Prediction:
    """Weighted shares with percentile intervals of 1,000 draws of the pictures."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(weight), size=(_DRAWS, len(weight)))
    draws = [_shares(flagged[rows], rejected[rows], weight[rows]) for rows in drawn]
    low, high = np.nanquantile(np.array(draws), (0.025, 0.975), axis=0)
    queue, escapes = _shares(flagged, rejected, weight)
    return Prediction(Estimate(queue, float(low[0]), float(high[0])), Estimate(escapes, float(low[1]), float(high[1])))


def _shares(flagged: npt.NDArray[np.bool_], rejected: npt.NDArray[np.bool_], weight: Numbers) -> tuple[float, float]:
    passed = float(weight[~flagged].sum())
    escaped = float(weight[~flagged & rejected].sum())
    return float(weight[flagged].sum() / weight.sum()), escaped / passed if passed else 0.0
