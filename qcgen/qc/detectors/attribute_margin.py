"""Is each attribute that was asked for the one that is seen?"""

from typing import ClassVar

import torch

from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import unscored, with_reasons
from qcgen.qc.zeroshot import best_classes, class_cosines, classes_of, margins


class AttributeMargin:
    """Zero-shot: of the fields that the profile's `attributes` names, the smallest margin of the item's own value over
    the catalogue's other values.

    Positive where every own value wins. The evidence names the field, what was asked and what is seen instead.
    `not_applicable` without attributes, or where the item has none of them with a second value in the catalogue.
    """

    name: ClassVar[str] = "attribute_margin"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "cosine difference"
    range: ClassVar[tuple[float, float]] = (-2.0, 2.0)
    higher_is_better: ClassVar[bool] = True
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        if batch.encoder is None:
            return unscored(batch, "no_encoder")
        worst = [float("inf")] * len(batch.images)
        evidence: list[dict[str, str]] = [{} for _ in worst]
        for field, wording in sorted(batch.settings.attributes.items()):
            found = class_cosines(batch, field, wording)
            if isinstance(found, Scores):
                continue
            classes = classes_of(batch, field)
            own = found[1]
            values, seen = margins(*found)
            for i, (value, place) in enumerate(zip(values.tolist(), own, strict=True)):
                if place is not None and value < worst[i]:
                    worst[i] = value
                    evidence[i] = {"field": field, "asked": classes[place], "nearest_other": classes[seen[i]]}
        reasons = [None if found else "not_applicable" for found in evidence]
        values = torch.tensor(worst, dtype=torch.float64).clamp(*self.range)
        return with_reasons(values, reasons, evidence)

    def explain(self, batch: Batch, index: int) -> Evidence:
        told = self.score(batch).evidence[index]
        field = told["field"]
        return Evidence(
            f"The catalogue's values of {field} nearest to the picture; {told['asked']} was asked for.",
            bars=best_classes(batch, index, field, batch.settings.attributes[field]),
        )
