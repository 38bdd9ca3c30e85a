"""Pictures a little changed: mirrored, turned, zoomed, shifted, with reflected borders; or cut. Colours stay: they are
labels."""

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F


def jitter(
    images: UInt8[Tensor, "b 3 h w"],
    generator: torch.Generator,
    *,
    angle: float = 0.0,
    zoom: tuple[float, float] = (0.88, 1.0),
    shift: float = 0.05,
) -> Float[Tensor, "b 3 h w"]:
    """RGB in [0, 1], each picture mirrored with probability 1/2 and moved by a random affine map.

    Args:
        angle: largest turn, radians.
        zoom: side of the window that is kept; below 1 enlarges the content.
        shift: largest shift of the window, in half picture sides.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    turn, scale = uniform(-angle, angle), uniform(*zoom)
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = turn.cos() * scale, turn.sin() * scale
    first = torch.stack([cos * flip, -sin, uniform(-shift, shift)], 1)
    second = torch.stack([sin * flip, cos, uniform(-shift, shift)], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)


def windows(images: UInt8[Tensor, "b 3 h w"], side: int, generator: torch.Generator) -> UInt8[Tensor, "b 3 s s"]:
    """Mirrored at random (the whole batch) and cut to `side` at random places, so that blocks fall everywhere."""
    if torch.rand((), generator=generator) < 0.5:
        images = images.flip(-1)
    return cut(images, side, generator)


def cut(maps: Shaped[Tensor, "b c h w"], side: int, generator: torch.Generator) -> Shaped[Tensor, "b c s s"]:
    """A window of each, `side` places each way, at random."""
    h, w = maps.shape[-2:]
    tops = torch.randint(h - side + 1, (len(maps),), generator=generator).tolist()
    lefts = torch.randint(w - side + 1, (len(maps),), generator=generator).tolist()
    return torch.stack([x[:, t : t + side, s : s + side] for x, t, s in zip(maps, tops, lefts, strict=True)])
