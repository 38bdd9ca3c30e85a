"""Does the garment have the colour that was asked for?"""

from typing import ClassVar

import torch

from qcgen.core.evidence import Swatch
from qcgen.qc.colour import NAMES, distance_to_names, known_name, name_codes, swatch
from qcgen.qc.evidence import Evidence, heat, hex_of
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import short_side, unscored, with_reasons

_SMALLEST = 16
_SCARCE = 0.1
_SIDE = 32
_FAINT, _STRONG = 3.0, 30.0


class ColourMatch:
    """CIEDE2000 from the garment's dominant colour to the range of the name in `fields["colour"]`; 0 inside the range.

    `not_applicable` without such a field, `unknown_colour` for a name without a range, `no_foreground` where no colour
    stands out in the middle of the picture.
    """

    name: ClassVar[str] = "colour_match"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "delta E 2000"
    range: ClassVar[tuple[float, float]] = (0.0, 150.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        asked = [fields.get("colour") for fields in batch.fields]
        names = [known_name(text) for text in asked]
        clusters = batch.clusters
        rows = torch.arange(len(names))
        scarce = (clusters.middle[rows, clusters.chosen] < _SCARCE).tolist()
        values = distance_to_names(clusters.colour(), [name or NAMES[0] for name in names])
        reasons = [_reason(text, name, few) for text, name, few in zip(asked, names, scarce, strict=True)]
        return with_reasons(values.clamp(*self.range), reasons)

    def explain(self, batch: Batch, index: int) -> Evidence:
        clusters = batch.clusters
        asked = known_name(batch.fields[index].get("colour")) or NAMES[0]
        found = clusters.colour()[index]
        away = float(distance_to_names(found[None], [asked])[0])
        garment = (clusters.member[index] == clusters.chosen[index]).reshape(_SIDE, _SIDE)
        name = NAMES[int(name_codes(found))]
        return Evidence(
            "Marked: what is taken for the garment, by how far its colour is from any that the asked name means.",
            heat(garment * away, _FAINT, _STRONG, self.unit),
            swatches=(Swatch(f"asked: {asked}", hex_of(swatch(asked))), Swatch(f"found: {name}", hex_of(found))),
        )


def _reason(asked: str | None, name: str | None, scarce: bool) -> str | None:
    if not asked:
        return "not_applicable"
    if name is None:
        return "unknown_colour"
    return "no_foreground" if scarce else None
