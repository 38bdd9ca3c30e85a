"""Place of the asked garment among all that the catalogue has."""

from typing import ClassVar

import torch

from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored
from qcgen.qc.zeroshot import best_classes, class_cosines


class GarmentRank:
    """Zero-shot: 1 where no other product of the catalogue is nearer to the picture, 2 where one is, and so on."""

    name: ClassVar[str] = "garment_rank"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "rank"
    range: ClassVar[tuple[float, float]] = (1.0, 10_000.0)
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        found = class_cosines(batch, "product")
        if isinstance(found, Scores):
            return found
        cosines, own = found
        at = torch.tensor([place or 0 for place in own], device=cosines.device)
        mine = cosines.gather(1, at[:, None])
        ranks = 1 + (cosines > mine).sum(1)
        absent = torch.tensor([place is None for place in own])
        return scored(ranks.double(), self.range, not_applicable=absent)

    def explain(self, batch: Batch, index: int) -> Evidence:
        asked = batch.fields[index].get("product", "")
        return Evidence(
            f"The catalogue's products nearest to the picture; {asked} was asked for.",
            bars=best_classes(batch, index, "product"),
        )
