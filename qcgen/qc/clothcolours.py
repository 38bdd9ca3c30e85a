"""Which colours the garments of each name have in photos: a normal distribution in CIELAB for each of the names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.colour import NAMES, name_codes

_SCREEN_VOLUME = 8.2e5
"""Of all colours of the screen, in cubic delta E 1976."""


@dataclass(frozen=True, slots=True)
class Cloth:
    """Mean of L, a, b, and the covariance: LL, La, Lb, aa, ab, bb."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float, float, float, float]


# Dominant colours of 3,823 photos of garments, CC0 (training rows; the names are the data's own). Printed by
# `python -m benchmarks.cloth_colours`.
CLOTH: Mapping[str, Cloth] = {
    "beige": Cloth((62.0, 5.6, 14.7), (218.3, -29.0, 21.5, 82.2, 28.1, 72.5)),
    "black": Cloth((17.8, 1.6, -1.3), (104.0, 0.6, 7.4, 12.9, 1.0, 29.9)),
    "blue": Cloth((47.5, 0.5, -22.8), (192.7, -47.5, 20.8, 108.1, -53.0, 150.2)),
    "brown": Cloth((40.4, 12.0, 14.1), (209.0, -17.4, 11.1, 154.8, 29.1, 111.1)),
    "green": Cloth((57.2, -20.8, 24.2), (241.2, -38.6, 136.3, 157.1, -120.8, 336.3)),
    "grey": Cloth((51.4, 1.0, -0.6), (237.0, -12.7, 6.1, 24.4, 3.8, 42.2)),
    "navy": Cloth((23.2, 5.8, -18.7), (56.7, -9.9, -1.4, 79.2, -86.3, 155.7)),
    "orange": Cloth((60.4, 30.9, 48.6), (27.2, 8.4, 6.4, 62.0, 16.9, 53.4)),
    "pink": Cloth((58.5, 31.3, -1.7), (119.6, -59.1, 11.0, 250.9, -33.8, 84.7)),
    "purple": Cloth((43.1, 26.4, -17.2), (123.4, -24.9, 33.0, 214.9, -94.9, 119.6)),
    "red": Cloth((40.6, 47.1, 17.8), (113.0, 65.3, 43.1, 258.1, 129.8, 196.0)),
    "teal": Cloth((56.7, -23.7, -4.3), (287.8, -93.5, -21.6, 124.4, -17.3, 64.8)),
    "white": Cloth((75.9, 0.7, 2.0), (177.7, -13.1, 10.3, 21.1, 3.5, 29.7)),
    "yellow": Cloth((66.8, -0.2, 48.6), (195.4, -69.1, 145.5, 136.0, -35.6, 367.5)),
}


def usual_colour(name: str) -> Float[Tensor, "3"]:
    """Lab of the mean garment of a name."""
    return torch.tensor(CLOTH[name].mean, dtype=torch.float64)


def log_rarity(lab: Float[Tensor, "b k 3"], asked: Sequence[str]) -> Float[Tensor, "b k"]:
    """log10 of how much likelier each colour is among all colours of the screen than among garments of the asked name:
    about -2 for a usual one, above 0 where a colour drawn blindly would be a better guess. Inside the name's range 0 at
    most: a blue as vivid as no photographed blue is blue all the same."""
    means, inverses, heights = _table()
    rows = torch.tensor([NAMES.index(name) for name in asked])
    away = lab.double() - means[rows][:, None]
    # Not by a matrix product: its rounding may depend on how many pictures there are.
    squares = (away[..., :, None] * inverses[rows][:, None] * away[..., None, :]).sum((-2, -1))
    values = squares / (2 * math.log(10)) + heights[rows][:, None] - math.log10(_SCREEN_VOLUME)
    return torch.where(name_codes(lab) == rows[:, None], values.clamp(max=0.0), values)


@lru_cache(maxsize=1)
def _table() -> tuple[Tensor, Tensor, Tensor]:
    """Means, inverse covariances and -log10 of the density at the mean, in the order of NAMES."""
    means = torch.stack([usual_colour(name) for name in NAMES])
    spreads = torch.tensor([CLOTH[name].spread for name in NAMES], dtype=torch.float64)
    covariances = spreads[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    heights = (torch.logdet(covariances) + 3 * math.log(2 * math.pi)) / (2 * math.log(10))
    return means, torch.linalg.inv(covariances), heights
