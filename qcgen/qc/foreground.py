"""Where the garment is and which colour it has, from colour clusters of the middle against those of the frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.planes import Planes

_SIDE = 32
_CLUSTERS = 5
_STEPS = 8
_FRAME_WEIGHT = 0.5
_LEAST_LEAD = 1e-6


@dataclass(frozen=True, slots=True)
class Clusters:
    """Colour clusters of each picture at 32x32, and which of them is the garment.

    Attributes:
        lab: cluster centres in CIELAB.
        member: cluster of each small pixel, row by row.
        middle: share of the middle half that is in the cluster.
        frame: share of the outermost pixels that is in the cluster.
        chosen: the cluster that fills the middle more than the frame.
    """

    lab: Float[Tensor, "b k 3"]
    member: Int[Tensor, "b 1024"]
    middle: Float[Tensor, "b k"]
    frame: Float[Tensor, "b k"]
    chosen: Int[Tensor, " b"]

    def colour(self) -> Float[Tensor, "b 3"]:
        """Lab of the garment's dominant colour."""
        return self.lab[torch.arange(len(self.lab)), self.chosen]

    def lead(self) -> Float[Tensor, "b k"]:
        """How much more each cluster fills the middle than half the frame: largest for the chosen, never below 1e-6."""
        return (self.middle - _FRAME_WEIGHT * self.frame).clamp(min=_LEAST_LEAD)


def find_clusters(planes: Planes) -> Clusters:
    """k-means with a farthest-point start: no random numbers, and each picture on its own.

    Runs in float64 on the CPU so that ties fall the same way for any batch size and device.
    """
    lab = planes.area_lab(_SIDE).flatten(2).transpose(1, 2)
    channels = [channel.contiguous() for channel in lab.unbind(-1)]
    centres = _farthest_points(lab)
    for _ in range(_STEPS):
        member = _nearest(channels, centres)
        counts = _per_cluster(member, torch.ones_like(channels[0]))[..., None]
        sums = torch.stack([_per_cluster(member, channel) for channel in channels], dim=-1)
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    shares = F.one_hot(member, _CLUSTERS).to(lab.dtype)
    middle_mask, frame_mask = _masks()
    middle = shares[:, middle_mask].mean(1)
    frame = shares[:, frame_mask].mean(1)
    chosen = (middle - _FRAME_WEIGHT * frame).argmax(1)
    return Clusters(centres, member, middle, frame, chosen)


def in_frame() -> Bool[Tensor, "1024"]:
    """Which of the small pixels are the outermost sixteenth on each side."""
    return _masks()[1]


def _farthest_points(lab: Float[Tensor, "b n 3"]) -> Float[Tensor, "b k 3"]:
    rows = torch.arange(len(lab))
    distance = ((lab - lab.mean(1, keepdim=True)) ** 2).sum(-1)
    centres = [lab[rows, distance.argmax(1)]]
    distance = torch.full_like(distance, torch.inf)
    for _ in range(_CLUSTERS - 1):
        distance = torch.minimum(distance, ((lab - centres[-1][:, None]) ** 2).sum(-1))
        centres.append(lab[rows, distance.argmax(1)])
    return torch.stack(centres, dim=1)


def _nearest(channels: Sequence[Float[Tensor, "b n"]], centres: Float[Tensor, "b k 3"]) -> Int[Tensor, "b n"]:
    # Not torch.cdist: above 25 points it goes through a matrix product, whose rounding depends on the batch.
    least = torch.full_like(channels[0], torch.inf)
    member = torch.zeros_like(least, dtype=torch.int64)
    for k in range(_CLUSTERS):
        centre = centres[:, k, :, None]
        distance = (channels[0] - centre[:, 0]) ** 2 + (channels[1] - centre[:, 1]) ** 2
        distance += (channels[2] - centre[:, 2]) ** 2
        member = torch.where(distance < least, k, member)
        least = torch.minimum(distance, least)
    return member


def _per_cluster(member: Int[Tensor, "b n"], values: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
    return torch.zeros(len(member), _CLUSTERS, dtype=values.dtype).scatter_add_(1, member, values)


def _masks() -> tuple[Tensor, Tensor]:
    axis = torch.arange(_SIDE)
    inset = torch.minimum(axis, _SIDE - 1 - axis)
    depth = torch.minimum(inset[:, None], inset[None, :]).flatten()
    return depth >= _SIDE // 4, depth < 2
