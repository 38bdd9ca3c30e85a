"""How different two pictures look: their edges, and what the early layers of our own CLIP see."""

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def edge_distance(one: Float[Tensor, "b 3 h w"], other: Float[Tensor, "b 3 h w"]) -> Float[Tensor, ""]:
    """L1 of the differences of neighbouring pixels, down plus across."""
    down, across = (one.diff(dim=dim) - other.diff(dim=dim) for dim in (2, 3))
    return down.abs().mean() + across.abs().mean()


def early_features(folder: Path) -> list[nn.Module]:
    """The first three stages of an open_clip folder's image tower, frozen."""
    model = open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False)
    visual = model.float().eval().requires_grad_(False).visual
    return [_Stem(visual), visual.layer1, visual.layer2]


def feature_distance(
    features: Sequence[nn.Module], decoded: Float[Tensor, "b 3 h w"], wanted: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, ""]:
    """Mean squared distance of the normalised features, summed over the stages; pictures in [-1, 1]."""
    total = decoded.new_zeros(())
    a, b = decoded * 2, wanted * 2  # [-1, 1] to the CLIP's own scale: mean 0.5, deviation 0.25
    for stage in features:
        with torch.autocast("cpu", torch.bfloat16):
            a = stage(a)
            with torch.no_grad():
                b = stage(b)
        total = total + (F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)).square().sum(1).mean()
    return total


class _Stem(nn.Module):
    """The first three convolutions of open_clip's ModifiedResNet."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: Tensor) -> Tensor:
        stem = self.visual.stem
        assert callable(stem)
        return stem(x)
