"""Does the garment have the colour that was asked for?"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qcgen.core.evidence import Swatch
from qcgen.qc.askedcolour import asked_names, why_unjudged
from qcgen.qc.colour import NAMES, distance_to_names, name_codes, swatch
from qcgen.qc.evidence import Evidence, heat, hex_of
from qcgen.qc.foreground import Clusters
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import with_reasons

_SIDE = 32
_SURCHARGE = 5.0
_FAINT, _STRONG = 3.0, 30.0


class ColourMatch:
    """CIEDE2000 from the garment's colour to the range of the name in `fields["colour"]`; 0 where the dominant colour
    is inside the range. A colour that fills less of the middle may be the garment's too (prints, shoes beside their
    shadow): the nearest counts, at 3.5 more for each halving of its share against the dominant one.

    `not_applicable` without such a field, `unknown_colour` for a name without a range, `no_foreground` where no colour
    stands out in the middle of the picture. Blind to a colour that no garment of that name has, inside the range or
    near it: that is `unusual_colour`.
    """

    name: ClassVar[str] = "colour_match"
    version: ClassVar[int] = 2
    unit: ClassVar[str] = "delta E 2000"
    range: ClassVar[tuple[float, float]] = (0.0, 150.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        values, _ = _nearest(batch.clusters, asked_names(batch))
        return with_reasons(values.clamp(*self.range), why_unjudged(batch))

    def explain(self, batch: Batch, index: int) -> Evidence:
        clusters = batch.clusters
        names = asked_names(batch)
        asked = names[index]
        values, taken = _nearest(clusters, names)
        found = clusters.lab[index, taken[index]]
        garment = (clusters.member[index] == taken[index]).reshape(_SIDE, _SIDE)
        name = NAMES[int(name_codes(found))]
        return Evidence(
            "Marked: what is taken for the garment, by how far its colour is from any that the asked name means.",
            heat(garment * values[index], _FAINT, _STRONG, self.unit),
            swatches=(Swatch(f"asked: {asked}", hex_of(swatch(asked))), Swatch(f"found: {name}", hex_of(found))),
        )


def _nearest(clusters: Clusters, names: Sequence[str]) -> tuple[Float[Tensor, " b"], Int[Tensor, " b"]]:
    """The score, and the cluster that it is of."""
    values, taken = distance_to_names(clusters.colour(), names), clusters.chosen.clone()
    # Most lie inside the range, and nothing is nearer than that.
    away = torch.nonzero(values > 0).flatten()
    lead = clusters.lead()[away]
    surcharge = _SURCHARGE * torch.log(lead.amax(1, keepdim=True) / lead)
    least = (distance_to_names(clusters.lab[away], [names[i] for i in away.tolist()]) + surcharge).min(1)
    values[away], taken[away] = least.values, least.indices
    return values, taken
