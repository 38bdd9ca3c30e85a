"""Pictures of the wrong thing: the pixels stay, what was asked for is another product or another colour."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch

from qcgen.qc.colour import NAMES, delta_e, known_name, swatch
from qcgen.qc.corruption import SEVERITIES, draw, seed_of

SWAPS = ("wrong_product", "wrong_colour")
_FIELDS = {"wrong_product": "product", "wrong_colour": "colour"}
_LEAST_DELTA_E = (10.0, 15.0, 25.0, 40.0, 60.0)


def swap(
    name: str, fields: Mapping[str, str], vocabulary: Mapping[str, Sequence[str]], *, key: str, severity: int
) -> Mapping[str, str] | None:
    """The fields with one of them wrong, None where the catalogue has no such value.

    `wrong_product` draws another product of the vocabulary, the same way at every severity. `wrong_colour` takes the
    nearest name whose swatch is at least 10, 15, 25, 40 or 60 (CIEDE2000) away.
    """
    assert severity in SEVERITIES
    field = _FIELDS[name]
    own = fields.get(field)
    if own is None:
        return None
    if name == "wrong_product":
        others = sorted(set(vocabulary.get(field, ())) - {own})
        if not others:
            return None
        generator = torch.Generator().manual_seed(seed_of(key, name, 0))
        return {**fields, field: others[draw(generator, 0, len(others) - 1)]}
    other = _colour_beyond(known_name(own), _LEAST_DELTA_E[severity - 1])
    return None if other is None else {**fields, field: other}


@lru_cache(maxsize=128)
def _colour_beyond(own: str | None, least: float) -> str | None:
    if own is None:
        return None
    away = {name: float(delta_e(swatch(own), swatch(name))) for name in NAMES if name != own}
    far = {name: distance for name, distance in away.items() if distance >= least}
    return min(far, key=lambda name: far[name], default=None)
