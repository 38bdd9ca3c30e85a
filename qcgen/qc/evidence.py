"""Evidence of a detector: a map of where, a curve of how, or what was compared. Frozen, at one fixed scale."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.evidence import Bar, Box, Curve, Scale, Swatch
from qcgen.qc.colour import from_lab
from qcgen.qc.protocol import Batch

MOST_PX = 128
"""The longer side of a map."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A map over the whole picture: 0 where nothing is, 1 from `scale.high` on, the same scale for every picture."""

    values: Float[Tensor, "h w"]
    scale: Scale


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one detector has to show of one picture; `says` tells how to read it."""

    says: str
    heat: Heat | None = None
    curve: Curve | None = None
    bars: tuple[Bar, ...] = ()
    boxes: tuple[Box, ...] = ()
    swatches: tuple[Swatch, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    neighbours: tuple[str, ...] = ()


@runtime_checkable
class Explainer(Protocol):
    """What a detector may have beside `score`: it shows where its number comes from.

    Pure and deterministic, from the same pixels as the score; asked only of pictures that have one. A detector without
    it says in `nothing_to_show` why.
    """

    def explain(self, batch: Batch, index: int) -> Evidence:
        """The evidence of one of the batch's pictures."""
        ...


def heat(plane: Shaped[Tensor, "h w"], low: float, high: float, unit: str) -> Heat:
    """A map from values over the whole picture; a smaller map shows the highest of several pixels."""
    values = ((plane.float() - low) / (high - low)).clamp(0, 1)
    height, width = values.shape
    longest = max(height, width)
    if longest > MOST_PX:
        size = max(1, round(height * MOST_PX / longest)), max(1, round(width * MOST_PX / longest))
        values = F.adaptive_max_pool2d(values[None], size)[0]
    return Heat(values.cpu(), Scale(low, high, unit))


def mask_heat(mask: Shaped[Tensor, "h w"], unit: str) -> Heat:
    """A map of places that count and places that do not."""
    return heat(mask, 0.0, 1.0, unit)


def laid_out(
    plane: Shaped[Tensor, "hh ww"], batch: Batch, *, top: int = 0, left: int = 0, side: int = 1
) -> Shaped[Tensor, "h w"]:
    """A plane of cells of `side` px, that begins at an offset, as pixels of the picture; 0 where it has none."""
    height, width = batch.images.shape[-2:]
    pixels = plane.repeat_interleave(side, 0).repeat_interleave(side, 1)[: height - top, : width - left]
    tall, wide = pixels.shape
    return F.pad(pixels, (left, width - left - wide, top, height - top - tall))


def sized(mask: Bool[Tensor, "hh ww"], batch: Batch) -> Bool[Tensor, "h w"]:
    """A mask of the planes' cells as pixels of the picture."""
    side = batch.planes.cell_px
    return laid_out(mask, batch, side=side)


def widened(mask: Shaped[Tensor, "h w"], reach: int) -> Float[Tensor, "h w"]:
    """The largest value within so many pixels: thin things are seen on a small picture."""
    return F.max_pool2d(mask.float()[None], 2 * reach + 1, stride=1, padding=reach)[0]


def box_of(mask: Shaped[Tensor, "h w"], label: str) -> Box:
    """The smallest box around what is set; the whole picture where nothing is."""
    rows, columns = (torch.nonzero(mask.bool().any(dim)).flatten().tolist() for dim in (1, 0))
    height, width = mask.shape
    if not rows:
        return Box(0.0, 0.0, 1.0, 1.0, label)
    return Box(columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height, label)


def floats(values: Tensor) -> tuple[float, ...]:
    """Plain numbers of five significant digits: more is not seen, and makes files large."""
    return tuple(float(f"{value:.5g}") for value in values.detach().double().cpu().flatten().tolist())


def hex_of(lab: Float[Tensor, "3"]) -> str:
    """The screen colour nearest to a Lab colour, as #rrggbb."""
    codes = (from_lab(lab.detach().double().cpu()).clamp(0, 1) * 255).round().int().tolist()
    return "#" + "".join(f"{code:02x}" for code in codes)
