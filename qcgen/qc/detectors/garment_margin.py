"""Is it the garment that was asked for, and by how much?"""

from typing import ClassVar

import torch

from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored
from qcgen.qc.zeroshot import best_classes, class_cosines, margins


class GarmentMargin:
    """Zero-shot: cosine with the item's own `product` minus the best of the catalogue's other products.

    Positive where the own class wins. `not_applicable` without the field or with fewer than two products.
    """

    name: ClassVar[str] = "garment_margin"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "cosine difference"
    range: ClassVar[tuple[float, float]] = (-2.0, 2.0)
    higher_is_better: ClassVar[bool] = True
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        found = class_cosines(batch, "product")
        if isinstance(found, Scores):
            return found
        absent = torch.tensor([place is None for place in found[1]])
        return scored(margins(*found)[0], self.range, not_applicable=absent)

    def explain(self, batch: Batch, index: int) -> Evidence:
        asked = batch.fields[index].get("product", "")
        return Evidence(
            f"The catalogue's products nearest to the picture; {asked} was asked for.",
            bars=best_classes(batch, index, "product"),
        )
