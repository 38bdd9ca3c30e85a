"""A thing in another colour."""

import math
from typing import ClassVar

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.colour import from_lab, to_lab
from qcgen.qc.corruption import Corrupted
from qcgen.qc.foreground import Clusters, find_clusters
from qcgen.qc.planes import Planes
from qcgen.qc.region import set_in


class Recolour:
    """The dominant colour of the middle moved in Lab, lightness kept, where the screen has room."""

    name: ClassVar[str] = "recolour"
    unit: ClassVar[str] = "delta E 1976"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (10, 15, 25, 40, 60)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        clusters = find_clusters(Planes(image[None]))
        start = float(torch.rand(1, generator=generator)) * 2 * math.pi
        ways = torch.tensor([start + turn * math.pi / 4 for turn in range(8)], dtype=torch.float64)
        steps = amount * torch.stack([torch.zeros_like(ways), ways.cos(), ways.sin()], dim=1)
        # The screen has no deep yellow that is dark: the way on which most of the step is left is taken.
        middle = clusters.colour()[0]
        reached = to_lab(from_lab(middle + steps).clamp(0, 1)) - middle
        step = steps[int(torch.linalg.vector_norm(reached, dim=1).argmax())]
        lab = to_lab(image.permute(1, 2, 0).double() / 255)
        codes = 255 * from_lab(lab + step).clamp(0, 1)
        return set_in(image, codes.permute(2, 0, 1).float(), _thing(clusters, image))


def _thing(clusters: Clusters, image: UInt8[Tensor, "3 h w"]) -> Bool[Tensor, "h w"]:
    side = math.isqrt(clusters.member.shape[1])
    small = (clusters.member[0] == clusters.chosen[0]).view(1, 1, side, side).float()
    return F.interpolate(small, size=tuple(image.shape[1:]), mode="nearest")[0, 0] > 0
