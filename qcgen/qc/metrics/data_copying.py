"""Memorisation: are the pictures nearer to the training pictures than held-out photos are?"""

from collections.abc import Mapping
from math import sqrt
from typing import ClassVar, Literal

import numpy as np
import scipy.stats

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class DataCopying(Gathered):
    """Cosine distances to the nearest training picture, of generated pictures against held-out photos.

    copying_z: the z-value of the Mann-Whitney test (ties counted); below -3 the pictures are too near, for copies or
    for lack of variety. copying_auc: the chance that a generated picture is nearer than a held-out photo; 0.5 is ideal,
    and unlike z it does not grow with n. copying_tail: share of pictures below the first hundredth of the held-out
    distances; 0.01 is ideal, and it sees a few copies that the test does not.

    It sees copies only as far as the encoder tells pictures apart. Error: bootstrap of the generated pictures; with
    other held-out photos too, z has a deviation of 1.

    Source: Meehan, Chaudhuri, Dasgupta 2020, arXiv:2004.05675 (their C_T, with one cell).
    """

    name: ClassVar[str] = "data_copying"
    reads: ClassVar[tuple[str, ...]] = ("nearest",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "held_out"
    resampling: ClassVar[Resampling] = "bootstrap"
    numbers: ClassVar[Mapping[str, Number]] = {
        "copying_z": Number("z", "real"),
        "copying_auc": Number("share", "real"),
        "copying_tail": Number("share", "real"),
    }

    def compute(self) -> Mapping[str, float]:
        (held_out,) = (column.double().numpy() for column in self.rows(real=True))
        (made,) = (column.double().numpy() for column in self.rows(real=False))
        m, n = len(made), len(held_out)
        larger = float(scipy.stats.mannwhitneyu(made, held_out, method="asymptotic").statistic)
        ties = np.unique(np.concatenate([made, held_out]), return_counts=True)[1]
        variance = m * n / 12 * (m + n + 1 - float((ties**3 - ties).sum()) / ((m + n) * (m + n - 1)))
        return {
            "copying_z": (larger - m * n / 2) / sqrt(variance) if variance > 0 else 0.0,
            "copying_auc": 1 - larger / (m * n),
            "copying_tail": float((made < np.quantile(held_out, 0.01)).mean()),
        }

    def reference(self) -> Mapping[str, float]:
        # What a model scores that draws new photos like the held-out ones.
        return {"copying_z": 0.0, "copying_auc": 0.5, "copying_tail": 0.01}
