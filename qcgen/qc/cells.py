"""What a network that points at cells of a picture says: shared by the detectors that ask one."""

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.models.artifacthead import ArtifactHead, load_head, scale, worst_cells
from qcgen.models.find import resolve_model
from qcgen.qc.evidence import Heat, heat
from qcgen.qc.protocol import Batch

_DOUBTFUL = 0.5


def worst(ref: str, batch: Batch, *, largest_px: int) -> Float[Tensor, " b"]:
    """Mean of each picture's largest cell logits.

    Args:
        ref: the network.
        largest_px: larger pictures are shrunk to this short side before.
    """
    # One by one: a convolution's rounding depends on how many pictures it is given.
    logits = [_logits(ref, batch, i, largest_px) for i in range(len(batch.images))]
    return worst_cells(torch.cat(logits))


def heat_of_cells(ref: str, batch: Batch, index: int, *, largest_px: int) -> Heat:
    """Each cell's probability, on the picture's own pixels."""
    chance = torch.sigmoid(_logits(ref, batch, index, largest_px))
    pixels = F.interpolate(chance[:, None], size=batch.images.shape[-2:], mode="nearest")[0, 0]
    return heat(pixels, _DOUBTFUL, 1.0, "probability")


def _logits(ref: str, batch: Batch, index: int, largest_px: int) -> Float[Tensor, "1 hh ww"]:
    head = _head(ref, str(batch.images.device))
    found: Float[Tensor, "1 hh ww"] = head(scale(batch.images[index : index + 1], largest_px))
    return found


@lru_cache(maxsize=4)
def _head(ref: str, device: str) -> ArtifactHead:
    return load_head(resolve_model(ref).folder, device=device)
