"""Precision, recall, density and coverage: the sets' supports, by nearest neighbours."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling

NEIGHBOURS = 5
_CHUNK = 1024


class Manifold(Gathered):
    """Balls around each picture that reach to its fifth nearest neighbour of the same set.

    precision: share of generated pictures in any real ball. recall: share of real ones in any generated ball.
    density: generated pictures' mean number of real balls, over 5 (1 for equal sets, may exceed 1). coverage: share of
    real balls that hold a generated picture. With n coverage grows and recall mostly falls, since the balls shrink:
    compare only at equal n. An outlier's large ball inflates precision and recall. Error: jackknife, since a repeated
    picture would have radius 0.

    Source: Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797.
    """

    name: ClassVar[str] = "manifold"
    reads: ClassVar[tuple[str, ...]] = ("embeddings",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "jackknife"
    numbers: ClassVar[Mapping[str, Number]] = {
        "precision": Number("share", "higher"),
        "recall": Number("share", "higher"),
        "density": Number("ratio", "real"),
        "coverage": Number("share", "higher"),
    }

    def __init__(self) -> None:
        super().__init__()
        self._real: tuple[Tensor, Tensor] | None = None

    def update(self, *columns: Tensor, real: bool) -> None:
        super().update(columns[0].double(), real=real)
        if real:
            self._real = None

    def compute(self) -> Mapping[str, float]:
        if self._real is None:
            (real,) = self.rows(real=True)
            self._real = real, _radii(real)
        real, real_radii = self._real
        (made,) = self.rows(real=False)
        made_radii = _radii(made)
        in_real = torch.zeros(len(made), dtype=torch.long)
        recalled = covered = 0
        for points, radii in zip(real.split(_CHUNK), real_radii.split(_CHUNK), strict=True):
            distance = torch.cdist(points, made)
            within_real = distance <= radii[:, None]
            in_real += within_real.sum(0)
            covered += int(within_real.any(1).sum())
            recalled += int((distance <= made_radii).any(1).sum())
        return {
            "precision": float((in_real > 0).double().mean()),
            "recall": recalled / len(real),
            "density": float(in_real.double().mean()) / NEIGHBOURS,
            "coverage": covered / len(real),
        }

    def reference(self) -> Mapping[str, float]:
        return {"density": 1.0}


def _radii(points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Distance of each point to its fifth nearest other point."""
    nearest = [
        torch.cdist(part, points).topk(NEIGHBOURS + 1, largest=False).values[:, -1] for part in points.split(_CHUNK)
    ]
    return torch.cat(nearest)
