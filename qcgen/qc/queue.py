"""The review queue of a whole batch: how many of its flags may be false."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control


def queue_limit(p_values: Sequence[float], rate: float) -> float:
    """The largest p that Benjamini and Hochberg's procedure flags; 0 where it flags none.

    At most `rate` of the flags are false on average, if good pictures' p-values are uniform or larger and positively
    dependent; conformal ones are (Bates et al. 2021, arXiv:2104.08279).

    Args:
        p_values: of all pictures of the batch, each the smallest level at which its picture is flagged.
    """
    if not p_values:
        return 0.0
    found = np.asarray(p_values, dtype=float)
    return float(found[false_discovery_control(found, method="bh") <= rate + 1e-12].max(initial=0.0))
