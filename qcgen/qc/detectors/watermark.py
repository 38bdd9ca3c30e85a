"""Letters laid over a picture: the mark of a stock agency, a preview's, a camera's."""

from typing import ClassVar

from qcgen.qc.cells import heat_of_cells, worst
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_WEIGHTS = "embedded:watermark-head"
_SMALLEST = 64
_LARGEST_PX = 128


class Watermark:
    """Mean of the largest cell logits, one in 256, of a small network that was trained on letters laid over pictures.

    It looks at the picture with a short side of at most 128 px, so that letters of a few pixels there are lost. It
    reads nothing: `text` does, where letters are clear. Bold print on the product raises it too.
    """

    name: ClassVar[str] = "watermark"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "logit"
    range: ClassVar[tuple[float, float]] = (-30.0, 30.0)
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True
    learned: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        return scored(worst(_WEIGHTS, batch, largest_px=_LARGEST_PX), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        return Evidence(
            "Marked: cells that a network, trained on letters laid over pictures, takes for such letters.",
            heat_of_cells(_WEIGHTS, batch, index, largest_px=_LARGEST_PX),
        )
