"""Products of photos with a plain ground, cut out and set on white: the pictures that a packshot's rules are about."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, UInt8
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from qcgen.pipeline.qcdomains import Picture, Pictures
from qcgen.qc.planes import Planes

NAME = "packshots"
_PLAIN = 10.0
"""Nine tenths of the ring along the frame are this near (CIE 1976) to its median colour."""
_SHADOW = 0.02
"""So much of the ring may be a shadow or a hanger that runs out of the frame."""
_SMALLEST, _LARGEST = 0.08, 0.75
_FEWEST = 20


def packshots(domains: Sequence[Pictures]) -> Pictures | None:
    """What can be cut out of these domains' pictures, None if that is too little to measure on.

    A product must lie whole inside the frame. Its pixels stay as they are; a soft rim of one pixel joins it to white.
    """
    found = [
        replace(picture, key=f"{NAME}/{picture.key}", image=image, group=one.name, opinion=None)
        for one in domains
        for picture in one.pictures
        if (image := set_on_white(picture.image)) is not None
    ]
    if len(found) < _FEWEST:
        return None
    about = f"products of {', '.join(sorted({one.group for one in found}))}, cut out and set on white"
    return Pictures(NAME, about, tuple(map(_unasked, found)), packshots=True)


def set_on_white(image: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h w"] | None:
    """The product on white, None where the ground is not plain or the product not whole."""
    planes = Planes(image[None])
    away = (planes.ground.ring - planes.ground.colour[:, None]).norm(dim=2)[0]
    product = _product(planes)
    cut_off = planes.ring(planes.foreground.main).float().mean().item()
    share = product.float().mean().item()
    if away.quantile(0.9) > _PLAIN or cut_off > _SHADOW or not _SMALLEST <= share <= _LARGEST:
        return None
    mask = F.interpolate(product.float()[None, None], size=image.shape[1:], mode="bilinear")
    alpha = F.avg_pool2d(mask, 3, stride=1, padding=1, count_include_pad=False)[0]
    return (alpha * image.float() + (1 - alpha) * 255).round().to(torch.uint8)


def _product(planes: Planes) -> Bool[Tensor, "h w"]:
    """The largest blob without holes, one cell smaller all round: no ground is left at its rim."""
    filled = ndimage.binary_fill_holes(planes.foreground.main[0].cpu().numpy())
    return torch.from_numpy(ndimage.binary_erosion(filled))


def _unasked(picture: Picture) -> Picture:
    return replace(picture, prompt="", fields={})
