"""Diversity of the pictures of one prompt."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class Diversity(Gathered):
    """Mean cosine distance of two pictures of one caption (different seeds), over all such pairs; the reference is that
    of two real pictures of one caption.

    0 for a student that ignores its noise. A low value beside a good Frechet distance is what mode-seeking looks like.
    Error: jackknife, since a repeated picture would be its own pair.
    """

    name: ClassVar[str] = "diversity"
    reads: ClassVar[tuple[str, ...]] = ("embeddings", "caption_ids")
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "jackknife"
    numbers: ClassVar[Mapping[str, Number]] = {"prompt_diversity": Number("cosine distance", "real")}

    def compute(self) -> Mapping[str, float]:
        return _diversity(*self.rows(real=False))

    def reference(self) -> Mapping[str, float]:
        return _diversity(*self.rows(real=True))


def _diversity(embeddings: Float[Tensor, "n d"], caption_ids: Int[Tensor, " n"]) -> dict[str, float]:
    unit = torch.nn.functional.normalize(embeddings.double(), dim=1)
    _, place, count = caption_ids.unique(return_inverse=True, return_counts=True)
    sums = torch.zeros((len(count), unit.shape[1]), dtype=torch.float64).index_add_(0, place, unit)
    # |sum x|^2 counts each pair twice and each picture, whose square is 1, once.
    pairs = int((count * (count - 1)).sum())
    cosines = float(sums.square().sum()) - len(unit)
    return {"prompt_diversity": 1 - cosines / pairs} if pairs else {}
