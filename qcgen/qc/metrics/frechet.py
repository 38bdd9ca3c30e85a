"""Frechet distance of Gaussians fitted to the embeddings."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, float64, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from qcgen.qc.protocol import Number, Resampling


class Frechet:
    """100 (|mu_r - mu_g|^2 + tr(S_r + S_g - 2 (S_r S_g)^1/2)) by torchmetrics; the factor because embeddings have unit
    length. 0 if both sets have the same mean and covariance.

    Biased upwards by about 1 / n: compare only at equal n. Error: bootstrap.

    Source: Heusel et al. 2017, arXiv:1706.08500.
    """

    name: ClassVar[str] = "frechet"
    reads: ClassVar[tuple[str, ...]] = ("embeddings",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "bootstrap"
    numbers: ClassVar[Mapping[str, Number]] = {"frechet": Number("x 100", "lower")}

    def __init__(self) -> None:
        self._metric: FrechetInceptionDistance | None = None

    def least(self, features: int) -> int:
        # A bootstrap sample holds 63 % of the rows: with twice as many rows as features its covariance has full rank.
        return max(100, 2 * features)

    def update(self, *columns: Tensor, real: bool) -> None:
        (embeddings,) = columns
        if self._metric is None:
            # It learns the number of features from the shape that its feature network gives for such an input.
            shape = (1, 1, embeddings.shape[1])
            self._metric = FrechetInceptionDistance(nn.Flatten(), input_img_size=shape, reset_real_features=False)
            self._metric.set_dtype(float64)
        self._metric.update(embeddings.double(), real=real)

    def compute(self) -> Mapping[str, float]:
        assert self._metric is not None
        return {"frechet": 100 * float(self._metric.compute())}

    def reference(self) -> Mapping[str, float]:
        return {}

    def reset(self) -> None:
        if self._metric is not None:
            self._metric.reset()
