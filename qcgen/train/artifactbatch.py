"""Batches for the head that points at local artifacts: pictures clean and spoiled, and where."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.trainspec import ArtifactHeadTraining
from qcgen.train.blemishes import CHANGES, blemish

Image = UInt8[Tensor, "3 h w"]
Spoil = Callable[[Image, float, torch.Generator], tuple[Image, Bool[Tensor, "h w"]]]
"""A picture, a share of its area and a source of randomness to the spoiled picture and where it is spoiled."""
Test = Callable[[Image, torch.Generator], tuple[Image, Bool[Tensor, "h w"]]]
"""The same, always as much."""

_STEP = 8
_VISIBLE = 3
"""Codes that a pixel must differ by, or a neighbour two pixels away, to count as spoiled."""


@dataclass(frozen=True, slots=True)
class Planted:
    """How artifacts are planted: by these while training, by those to measure, the seen kinds among them."""

    seen: Mapping[str, Spoil]
    tested: Mapping[str, Test]


class Batches:
    """Draws batches. Every spoiled picture has its clean twin in the batch, as far as there are clean ones: the head
    learns what was done to a picture, not which pictures are odd.
    """

    def __init__(self, spec: ArtifactHeadTraining, sources: Sequence[Tensor], seen: Mapping[str, Spoil]) -> None:
        self._spec, self._sources = spec, sources
        self._kinds = [seen[name] for name in spec.seen]

    def draw(self, generator: torch.Generator) -> tuple[UInt8[Tensor, "b 3 h w"], Bool[Tensor, "b h w"]]:
        """Pictures of one size, and where they are spoiled."""
        whole = min(self._sources[0].shape[-2:])
        side = _STEP * _between(self._spec.smallest // _STEP, whole // _STEP, generator)
        count = self._spec.optim.batch
        spoiled = min(count - 1, max(1, round(count * self._spec.spoiled_share)))
        clean = [self._picture(min(side, whole), generator) for _ in range(count - spoiled)]
        pairs = [self._spoil(clean[i % len(clean)], clean[i % len(clean) - 1], generator) for i in range(spoiled)]
        masks = torch.zeros((len(clean), *clean[0].shape[1:]), dtype=torch.bool)
        return torch.stack([*clean, *(one for one, _ in pairs)]), torch.cat([masks, torch.stack([m for _, m in pairs])])

    def _picture(self, side: int, generator: torch.Generator) -> Image:
        source = self._sources[_between(0, len(self._sources) - 1, generator)]
        image = source[_between(0, len(source) - 1, generator)]
        image = image.flip(2) if _chance(0.5, generator) else image
        # Nothing is drawn for a job without collages: what it learned before it can learn again.
        if self._spec.collage_share and _chance(self._spec.collage_share, generator):
            image = _collage(source, min(side, *image.shape[1:]), generator)
        else:
            image = _fitted(image, side, generator)
        return _worn(image, generator) if _chance(self._spec.worn_share, generator) else image

    def _spoil(self, image: Image, other: Image, generator: torch.Generator) -> tuple[Image, Bool[Tensor, "h w"]]:
        low, high = self._spec.area
        area = low * (high / low) ** float(torch.rand(1, generator=generator))
        if self._spec.blemishes and _chance(self._spec.blemish_share, generator):
            change = CHANGES[self._spec.blemishes[_between(0, len(self._spec.blemishes) - 1, generator)]]
            spoiled, mask = blemish(change, image, other, area=area, generator=generator)
        else:
            spoiled, mask = self._kinds[_between(0, len(self._kinds) - 1, generator)](image, area, generator)
        return spoiled, mask & _visible(image, spoiled)


def _collage(source: UInt8[Tensor, "n 3 h w"], side: int, generator: torch.Generator) -> UInt8[Tensor, "3 s s"]:
    """A square of 4 to 16 pictures side by side, turned by quarters: detail everywhere, and no one thing."""
    count = _between(2, 4, generator)
    cell = -(-side // count)
    chosen = source[torch.randint(0, len(source), (count * count,), generator=generator)].float()
    small = F.interpolate(chosen, size=(cell, cell), mode="bilinear", antialias=True)
    turned = [one.rot90(_between(0, 3, generator), (1, 2)) for one in small]
    rows = [torch.cat(turned[at : at + count], dim=2) for at in range(0, len(turned), count)]
    return _codes(torch.cat(rows, dim=1)[:, :side, :side])


def _visible(image: Image, spoiled: Image) -> Bool[Tensor, "h w"]:
    """Where a change can be seen: a plain part that was bent is as it was."""
    away = (spoiled.short() - image.short()).abs().amax(0).float()
    return F.max_pool2d(away[None], 5, 1, 2)[0] > _VISIBLE


def _fitted(image: Image, side: int, generator: torch.Generator) -> UInt8[Tensor, "3 {side} {side}"]:
    """A square of `side` px: shrunk to it, or cut out."""
    height, width = image.shape[1:]
    if side >= min(height, width) and height == width:
        return image
    if _chance(0.5, generator):
        shrunk = F.interpolate(image[None].float(), size=(side, side), mode="bilinear", antialias=True)[0]
        return _codes(shrunk)
    top, left = _between(0, height - side, generator), _between(0, width - side, generator)
    return image[:, top : top + side, left : left + side]


def _worn(image: Image, generator: torch.Generator) -> Image:
    """Softer, noisier or compressed all over: whatever is the same everywhere is no local artifact."""
    kind = _between(0, 2, generator)
    amount = float(torch.rand(1, generator=generator))
    if kind == 0:
        return _codes(_softened(image.float(), 0.3 + 0.9 * amount))
    if kind == 1:
        return _codes(image.float() + 8 * amount * torch.randn(image.shape, generator=generator))
    return _compressed(image, 40 + round(55 * amount))


def _softened(codes: Float[Tensor, "3 h w"], sigma: float) -> Float[Tensor, "3 h w"]:
    steps = torch.arange(-3.0, 4.0)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(codes[:, None], (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 7)), kernel.view(1, 1, 7, 1))[:, 0]


def _compressed(image: Image, quality: int) -> Image:
    held = io.BytesIO()
    PIL.Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(held, "jpeg", quality=quality)
    with PIL.Image.open(held) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()


def _codes(values: Float[Tensor, "3 h w"]) -> Image:
    return values.round().clamp(0, 255).to(torch.uint8)


def _chance(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand(1, generator=generator)) < share


def _between(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from `low` to `high`, both included; `high` where that leaves nothing."""
    return int(torch.randint(min(low, high), high + 1, (1,), generator=generator))
