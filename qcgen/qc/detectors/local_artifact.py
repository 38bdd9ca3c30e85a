"""Parts of a picture that do not belong: pasted, doubled, missing, twisted."""

from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.models.artifacthead import ArtifactHead, load_head, scale, worst_cells
from qcgen.models.find import resolve_model
from qcgen.qc.evidence import Evidence, heat
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_WEIGHTS = "embedded:artifact-head-apparel"
_SMALLEST = 96
_DOUBTFUL = 0.5


class LocalArtifact:
    """Mean of the largest cell logits, one in 256, of a small network that was trained on planted artifacts.

    It looks at the picture as it is, the short side at most 256 px, and points at cells of 4 x 4 px. In the embedded
    student's pictures it sees all kinds, softly doubled parts least; in photos pasted and missing parts, and little of
    what is soft. A picture takes 8 ms at 128 px and 25 ms at 256 px or more, with one thread.
    """

    name: ClassVar[str] = "local_artifact"
    version: ClassVar[int] = 3
    unit: ClassVar[str] = "logit"
    range: ClassVar[tuple[float, float]] = (-30.0, 30.0)
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True
    learned: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        # One by one: a convolution's rounding depends on how many pictures it is given.
        logits = torch.cat([_logits(batch, i) for i in range(len(batch.images))])
        return scored(worst_cells(logits), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        chance = torch.sigmoid(_logits(batch, index))
        pixels = F.interpolate(chance[:, None], size=batch.images.shape[-2:], mode="nearest")[0, 0]
        return Evidence(
            "Marked: cells that a network, trained on planted artifacts, takes for parts that do not belong.",
            heat(pixels, _DOUBTFUL, 1.0, "probability"),
        )


def _logits(batch: Batch, index: int) -> Float[Tensor, "1 hh ww"]:
    device = str(batch.images.device)
    found: Float[Tensor, "1 hh ww"] = _head(device)(scale(batch.images[index : index + 1]))
    return found


@lru_cache(maxsize=2)
def _head(device: str) -> ArtifactHead:
    return load_head(resolve_model(_WEIGHTS).folder, device=device)
