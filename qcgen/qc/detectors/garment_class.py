"""Does the picture show the garment that was asked for, to a network that learned the catalogue's own?"""

from typing import ClassVar

from qcgen.qc.evidence import Evidence
from qcgen.qc.likelihood import RANGE, likeliest, surprises
from qcgen.qc.protocol import Batch, Scores


class GarmentClass:
    """Minus the logarithm of the probability that the profile's `classifier` gives to the item's own `product`.

    0.69 is a probability of one half. The classifier is the image tower of a CLIP, tuned on labelled pictures of the
    catalogue (`qcgen train` with `kind: classifier`): it knows what these pictures look like, and nothing else.
    `not_applicable` without a classifier, and where the item has no product that it learned.
    """

    name: ClassVar[str] = "garment_class"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "nats"
    range: ClassVar[tuple[float, float]] = RANGE
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True
    learned: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        return surprises(batch, "product")

    def explain(self, batch: Batch, index: int) -> Evidence:
        asked = batch.fields[index].get("product", "")
        return Evidence(
            f"How likely the classifier takes the picture for each product; {asked} was asked for.",
            bars=likeliest(batch, index, "product"),
        )
