"""Parts of a picture that do not belong: pasted, doubled, missing, twisted."""

from typing import ClassVar

from qcgen.models.artifacthead import LARGEST_PX
from qcgen.qc.cells import heat_of_cells, worst
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_WEIGHTS = "embedded:artifact-head-apparel"
_SMALLEST = 96


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
        return scored(worst(_WEIGHTS, batch, largest_px=LARGEST_PX), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        return Evidence(
            "Marked: cells that a network, trained on planted artifacts, takes for parts that do not belong.",
            heat_of_cells(_WEIGHTS, batch, index, largest_px=LARGEST_PX),
        )
