"""A combination of p-values that is learned from people's decisions and can only rise with each detector's evidence."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from qcgen.qc.conformal import p_value

Matrix = npt.NDArray[np.float64]

_RIDGE = 1.0


def p_matrix(badness: Matrix, reference: Matrix) -> Matrix:
    """Conformal p-values, column by column: `rows detectors` against `good detectors`; -inf (no value) gives 1."""
    columns = [np.sort(column).tolist() for column in reference.T]
    rows = [[p_value(one, column) for one, column in zip(row, columns, strict=True)] for row in badness.tolist()]
    return np.array(rows, dtype=np.float64).reshape(badness.shape)


def fit(
    evidence: Matrix, bad: npt.NDArray[np.bool_], *, weight: Matrix | None = None, ridge: float = _RIDGE
) -> tuple[float, Matrix]:
    """Logistic regression with weights of at least 0.

    Args:
        evidence: -log p, `pictures detectors`.
        bad: what people said.
        weight: of each picture; without it both kinds weigh the same, as the rare one is what is asked for.
        ridge: pulls weights that few pictures speak for towards 0; in units of one picture's loss.

    Returns:
        The offset and a weight a detector.
    """
    sign = np.where(bad, 1.0, -1.0)
    even = np.where(bad, 0.5 / max(1, bad.sum()), 0.5 / max(1, (~bad).sum())) * len(bad)
    of_row = even if weight is None else weight

    def loss(at: Matrix) -> tuple[float, Matrix]:
        margin = sign * (at[0] + evidence @ at[1:])
        pull = -of_row * sign * expit(-margin)
        value = float((of_row * np.logaddexp(0, -margin)).sum() + ridge * (at[1:] ** 2).sum() / 2)
        return value, np.concatenate([[pull.sum()], evidence.T @ pull + ridge * at[1:]])

    start = np.zeros(evidence.shape[1] + 1)
    bounds = [(None, None)] + [(0.0, None)] * evidence.shape[1]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), np.asarray(found.x[1:], dtype=np.float64)
