"""Conformal p-values: the arithmetic that turns scores of accepted pictures into limits with a known false-flag rate.

Scores here are "badness": higher is worse. See Bates et al. 2021, arXiv:2104.08279, for p-values against a reference.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from scipy.stats import beta


def p_value(badness: float, reference: Sequence[float], *, two_sided: bool = False) -> float:
    """(1 + number of reference scores at least as bad) / (n + 1); `reference` is sorted upwards.

    Two-sided: twice the smaller of both tails', at most 1; small for what is unusual on either side.
    """
    n = len(reference)
    upper = (1 + n - bisect_left(reference, badness)) / (n + 1)
    if not two_sided:
        return upper
    return min(1.0, 2 * min(upper, (1 + bisect_right(reference, badness)) / (n + 1)))


def combine(p_values: Mapping[str, float], importance: Mapping[str, float]) -> float:
    """The min-p statistic: the smallest p over its detector's importance; infinite without any p."""
    return min((p / importance[name] for name, p in p_values.items()), default=math.inf)


def joint_p_value(statistic: float, reference: Sequence[float]) -> float:
    """(1 + number of reference statistics at most as large) / (n + 1); `reference` is sorted upwards."""
    return (1 + bisect_right(reference, statistic)) / (len(reference) + 1)


def flag_limit(reference: Sequence[float], joint: Sequence[float], *, importance: float, alpha: float) -> float | None:
    """The badness above which (strictly) one detector alone brings the joint p to alpha; None where nothing can."""
    rank = math.floor(alpha * (len(joint) + 1) + 1e-9) - 1
    if rank < 0:
        return None
    most = max((p for p in _attainable(len(reference)) if joint_p_value(p / importance, joint) <= alpha), default=None)
    if most is None:
        return None
    as_bad = round(most * (len(reference) + 1)) - 1
    return reference[len(reference) - 1 - as_bad] if as_bad < len(reference) else -math.inf


def fewest(alpha: float) -> int:
    """The smallest reference with which a p-value can reach alpha."""
    return math.ceil(1 / alpha - 1 - 1e-9)


def false_flag_bound(n: int, alpha: float, *, confidence: float = 0.95) -> float:
    """Upper bound of the true false-flag rate for one given calibration of n pictures.

    The rate is Beta distributed over calibrations; this quantile equals the Clopper-Pearson bound for as many flags
    as the threshold leaves among the n.
    """
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    return float(beta.ppf(confidence, n + 1 - rank, rank))


def _attainable(n: int) -> list[float]:
    return [(1 + as_bad) / (n + 1) for as_bad in range(n + 1)]
