"""A combination of p-values that is learned from people's decisions and can only rise with each detector's evidence."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Matrix = npt.NDArray[np.float64]

_RIDGE = 1.0
"""Pulls weights that few pictures speak for towards 0; in units of one picture's loss."""


def p_matrix(badness: Matrix, reference: Matrix) -> Matrix:
    """Conformal p-values, column by column: `rows detectors` against `good detectors`; -inf (no value) gives 1."""
    ordered = np.sort(reference, axis=0)
    n = len(ordered)
    below = np.stack(
        [np.searchsorted(ordered[:, j], badness[:, j], side="left") for j in range(badness.shape[1])], axis=1
    )
    return np.asarray((1 + n - below) / (n + 1), dtype=np.float64)


def fit(evidence: Matrix, bad: npt.NDArray[np.bool_]) -> tuple[float, Matrix]:
    """Logistic regression with weights of at least 0.

    Args:
        evidence: -log p, `pictures detectors`.
        bad: what people said.

    Returns:
        The offset and a weight a detector.
    """
    sign = np.where(bad, 1.0, -1.0)
    # Both kinds weigh the same: the rare one is what is asked for.
    of_row = np.where(bad, 0.5 / max(1, bad.sum()), 0.5 / max(1, (~bad).sum())) * len(bad)

    def loss(at: Matrix) -> tuple[float, Matrix]:
        margin = sign * (at[0] + evidence @ at[1:])
        pull = -of_row * sign / (1 + np.exp(np.clip(margin, -500, 500)))
        value = float((of_row * np.logaddexp(0, -margin)).sum() + _RIDGE * (at[1:] ** 2).sum() / 2)
        return value, np.concatenate([[pull.sum()], evidence.T @ pull + _RIDGE * at[1:]])

    start = np.zeros(evidence.shape[1] + 1)
    bounds = [(None, None)] + [(0.0, None)] * evidence.shape[1]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), np.asarray(found.x[1:], dtype=np.float64)
