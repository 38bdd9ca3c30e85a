"""Vendi score: the effective number of different pictures."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class Vendi(Gathered):
    """exp of the entropy of the eigenvalues of K / n, K the cosines of all pairs; from 1 (all alike) to min(n, d).

    The eigenvalues are those of the d x d second moment, so n does not matter for the cost. It knows nothing of the
    real set: noise scores high. Error: jackknife, since repeated pictures lower the entropy.

    Source: Friedman and Dieng 2023, arXiv:2210.02410.
    """

    name: ClassVar[str] = "vendi"
    reads: ClassVar[tuple[str, ...]] = ("embeddings",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "jackknife"
    numbers: ClassVar[Mapping[str, Number]] = {"vendi": Number("pictures", "real")}

    def compute(self) -> Mapping[str, float]:
        return {"vendi": vendi_score(*self.rows(real=False))}

    def reference(self) -> Mapping[str, float]:
        return {"vendi": vendi_score(*self.rows(real=True))}


def vendi_score(embeddings: Float[Tensor, "n d"]) -> float:
    """exp of the entropy of the eigenvalues of the embeddings' second moment."""
    unit = torch.nn.functional.normalize(embeddings.double(), dim=1)
    shares = torch.linalg.eigvalsh(unit.T @ unit / len(unit)).clamp(min=0)
    return float(torch.special.entr(shares).sum().exp())
