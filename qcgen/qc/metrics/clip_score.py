"""CLIP score: agreement of pictures and captions."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class ClipScore(Gathered):
    """100 x the mean cosine of picture and caption. The reference is that of held-out photos: the encoder was trained
    on the others with their captions. Error: bootstrap.

    Source: Hessel et al. 2021, arXiv:2104.08718 (without the clamp at zero, which would bias the mean).
    """

    name: ClassVar[str] = "clip_score"
    reads: ClassVar[tuple[str, ...]] = ("embeddings", "captions")
    real_rows: ClassVar[Literal["all", "held_out"]] = "held_out"
    resampling: ClassVar[Resampling] = "bootstrap"
    numbers: ClassVar[Mapping[str, Number]] = {"clip_score": Number("x 100", "higher")}

    def compute(self) -> Mapping[str, float]:
        return {"clip_score": _score(*self.rows(real=False))}

    def reference(self) -> Mapping[str, float]:
        return {"clip_score": _score(*self.rows(real=True))}


def _score(embeddings: Float[Tensor, "n d"], captions: Float[Tensor, "n d"]) -> float:
    return 100 * float((embeddings.double() * captions.double()).sum(1).mean())
