"""Is the garment's colour one that real garments of the asked name have?"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Swatch
from qcgen.qc.askedcolour import asked_names, why_unjudged
from qcgen.qc.clothcolours import log_rarity, usual_colour
from qcgen.qc.evidence import Evidence, heat, hex_of
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import with_reasons

_SIDE = 32
_SHARPNESS = 3
"""Power of a cluster's lead: a colour that leads half as much has an eighth of the weight."""
_POWER = 0.1
"""Of the mean over clusters: near 0 all of them must be usual, with 1 it would be enough that one of them is."""
_SHOWN = 0.02
_FAINT, _STRONG = -0.5, 4.0


class UnusualColour:
    """log10 of how much likelier the garment's colours are among all that a screen can show than among photographed
    garments of the name in `fields["colour"]` (a normal distribution in CIELAB for each name, learned from 3,823 CC0
    photos): about -2 for a usual shade, above 0 where a blind guess would do better. A power mean over the colours in
    the middle; what fills it most counts most, and one inside the name's range counts 0 at most.

    It sees a pink tint on white, a green one on grey, and shades beside the range of the name. Blind to another shade
    that garments of the name have: a red that turned orange may still be a usual red. The photos show clothes on beds,
    floors and hangers under household light. `not_applicable`, `unknown_colour` and `no_foreground` as in
    `colour_match`.
    """

    name: ClassVar[str] = "unusual_colour"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "log10 ratio"
    range: ClassVar[tuple[float, float]] = (-10.0, 100.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        rarity = log_rarity(batch.clusters.lab, asked_names(batch))
        # log10 of a sum of powers of 10; amax keeps them in reach.
        least = rarity.amin(1, keepdim=True)
        sums = (_weights(batch) * 10 ** (-_POWER * (rarity - least))).sum(1)
        values = least[:, 0] - torch.log10(sums) / _POWER
        return with_reasons(values.clamp(*self.range), why_unjudged(batch))

    def explain(self, batch: Batch, index: int) -> Evidence:
        clusters = batch.clusters
        asked = asked_names(batch)[index]
        rarity = log_rarity(clusters.lab[index : index + 1], [asked])[0]
        counts = _weights(batch)[index] >= _SHOWN
        plane = torch.where(counts, rarity, _FAINT)[clusters.member[index].long()].reshape(_SIDE, _SIDE)
        usual, found = hex_of(usual_colour(asked)), hex_of(clusters.colour()[index])
        return Evidence(
            "Marked: the colours taken for the garment's, by how rarely photographed garments of the asked name have "
            "them.",
            heat(plane, _FAINT, _STRONG, self.unit),
            swatches=(Swatch(f"a usual {asked}", usual), Swatch("found", found)),
        )


def _weights(batch: Batch) -> Float[Tensor, "b k"]:
    """Shares that sum to 1 of each cluster in the judgement."""
    lead = batch.clusters.lead() ** _SHARPNESS
    return lead / lead.sum(1, keepdim=True)
