"""Kernel distance: the squared maximum mean discrepancy with a cubic kernel."""

import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from qcgen.qc.protocol import Number, Resampling

_SUBSET = 1000


class KernelDistance:
    """1000 MMD^2 with the kernel (x . y + 1)^3, by torchmetrics: the mean over 50 random subsets of up to 1,000 rows.

    That is the usual kernel (x . y / d + 1)^3 on embeddings scaled to length sqrt(d): on unit embeddings the division
    by d would leave only the distance of the means. Unbiased at any n, so it may be slightly negative. Error: disjoint
    blocks, since repeated rows would bias the U-statistic.

    Source: Binkowski et al. 2018, arXiv:1801.01401.
    """

    name: ClassVar[str] = "kid"
    reads: ClassVar[tuple[str, ...]] = ("embeddings",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "blocks"
    numbers: ClassVar[Mapping[str, Number]] = {"kid": Number("x 1000", "lower")}

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # It warns that it keeps all features; they are about a kB a picture.
            warnings.simplefilter("ignore", UserWarning)
            self._metric = KernelInceptionDistance(
                feature=nn.Identity(), subsets=50, gamma=1.0, coef=1.0, reset_real_features=False
            )
        self._rows = {True: 0, False: 0}

    def least(self, features: int) -> int:
        return 200  # blocks of 20

    def update(self, *columns: Tensor, real: bool) -> None:
        (embeddings,) = columns
        self._rows[real] += len(embeddings)
        self._metric.update(embeddings.double(), real=real)

    def compute(self) -> Mapping[str, float]:
        self._metric.subset_size = min(_SUBSET, *self._rows.values())
        # torchmetrics draws the subsets from torch's global generator: fixed here, and given back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            mean, _ = self._metric.compute()
        return {"kid": 1000 * float(mean)}

    def reference(self) -> Mapping[str, float]:
        return {}

    def reset(self) -> None:
        self._metric.reset()
        self._rows[False] = 0
