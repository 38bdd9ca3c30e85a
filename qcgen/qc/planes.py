"""Derived pictures that several detectors read, each computed once for a batch and only when asked for.

Convolutions are sums of shifted slices: on a CPU torch's own take ten times as long for a single channel, and their
rounding depends on the batch's size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.colour import cells_to_lab

SMOOTH_SIGMA = 1.5
SMOOTH_RADIUS = 4
IMMERKAER = math.sqrt(math.pi / 2) / 6
"""Turns the mean of `Planes.residual` into the sigma of white noise."""
_FEWEST_CELLS = 96
_EVERY_SECOND = 256
_RING = 2
_APART = 10.0
_CACHED_PX = 1 << 18


@dataclass(frozen=True, slots=True)
class Ground:
    """What is behind the product: read from a ring of 2 cells along the frame of `Planes.lab`.

    Attributes:
        ring: Lab of the ring's cells.
        colour: the ring's median, channel by channel.
    """

    ring: Float[Tensor, "b n 3"]
    colour: Float[Tensor, "b 3"]


@dataclass(frozen=True, slots=True)
class Foreground:
    """Cells of `Planes.lab` that differ by more than 10 (CIE 1976) from the ground's colour, in connected blobs.

    Means the product on plain grounds only; on scenes it is whatever has not the frame's colour.

    Attributes:
        mask: the cells.
        main: those of the largest blob (8 neighbours); of equals the first in reading order.
        sizes: of each picture's blobs, in cells.
    """

    mask: Bool[Tensor, "b h w"]
    main: Bool[Tensor, "b h w"]
    sizes: tuple[Int[Tensor, " _"], ...]


class Planes:
    """Lazy planes of pictures of one size."""

    def __init__(self, images: UInt8[Tensor, "b 3 h w"]) -> None:
        self._images = images
        self._areas: dict[int, Tensor] = {}
        self._area_labs: dict[int, Tensor] = {}

    @cached_property
    def luma(self) -> Float[Tensor, "b h w"]:
        """Rec. 601 luma in codes, 0..255."""
        return some_at_a_time(_luma, self._images)

    @cached_property
    def across(self) -> Float[Tensor, "b lines w"]:
        """Luma's rows, every second from a side of 256: enough for what is asked of lines one by one."""
        return self.luma[:, :: self._stride()].contiguous()

    @cached_property
    def down(self) -> Float[Tensor, "b lines h"]:
        """Luma's columns, laid out like the rows of `across`."""
        # One by one and without steps: the transpose of a matrix is copied in blocks that fit the cache.
        return torch.stack([one[:, :: self._stride()].contiguous().t().contiguous() for one in self.luma])

    def _stride(self) -> int:
        return 2 if min(self._images.shape[-2:]) >= _EVERY_SECOND else 1

    @cached_property
    def smooth(self) -> Float[Tensor, "b h w"]:
        """Luma after a gaussian of 1.5 px; the frame is replicated."""
        return some_at_a_time(_smooth, self.luma)

    @cached_property
    def high_pass(self) -> Float[Tensor, "b h w"]:
        """What `smooth` took away, in codes."""
        return self.luma - self.smooth

    @cached_property
    def residual(self) -> Float[Tensor, "b hh ww"]:
        """Second difference across and down at once, absolute: 0 on ramps; two rows and columns less.

        Its mean on white noise of sigma s is 6 s sqrt(2 / pi) (Immerkaer 1996).
        """
        return some_at_a_time(lambda luma: second_difference(second_difference(luma, dim=2), dim=1).abs_(), self.luma)

    def area(self, side: int) -> Float[Tensor, "b 3 s s"]:
        """RGB in codes, averaged over the cells of a square lattice."""
        if side not in self._areas:
            height, width = self._images.shape[-2:]
            cell = self.cell_px
            if height % (side * cell) == width % (side * cell) == 0:
                self._areas[side] = _pool(self.cells, height // cell // side, width // cell // side)
            else:
                self._areas[side] = F.interpolate(self._images.float(), size=(side, side), mode="area")
        return self._areas[side]

    def area_lab(self, side: int) -> Float[Tensor, "b 3 s s"]:
        """CIELAB of `area`, in float64 on the CPU, so that what is decided by it is decided alike everywhere."""
        if side not in self._area_labs:
            height, width = self._images.shape[-2:]
            whole = height % side == width % side == 0
            pixels = height // side * (width // side) if whole else None
            self._area_labs[side] = cells_to_lab(self.area(side).cpu().double(), pixels)
        return self._area_labs[side]

    @cached_property
    def cells(self) -> Float[Tensor, "b 3 hh ww"]:
        """RGB in codes of square cells, so large that the short side has 96 to 191 (cells are pixels below 192).

        The last pixels that fill no cell are left out.
        """
        height, width = self._images.shape[-2:]
        cell = self.cell_px
        whole = self._images[:, :, : height // cell * cell, : width // cell * cell]
        return some_at_a_time(lambda images: _pool(images, cell, cell), whole)

    @property
    def cell_px(self) -> int:
        """Side of a cell: a power of two, so that coarser lattices can be averaged from the cells."""
        return 1 << max(0, (min(self._images.shape[-2:]) // _FEWEST_CELLS).bit_length() - 1)

    @cached_property
    def lab(self) -> Float[Tensor, "b 3 hh ww"]:
        """CIELAB of `cells`."""
        return cells_to_lab(self.cells, self.cell_px**2)

    @cached_property
    def chroma(self) -> Float[Tensor, "b hh ww"]:
        """CIELAB chroma of `lab`'s cells."""
        return torch.hypot(self.lab[:, 1], self.lab[:, 2])

    @cached_property
    def ground(self) -> Ground:
        ring = self.ring(self.lab)
        return Ground(ring.transpose(1, 2), ring.median(dim=2).values)

    def ring(self, plane: Shaped[Tensor, "b *c hh ww"]) -> Shaped[Tensor, "b *c n"]:
        """The outermost 2 cells on each side of a plane of cells."""
        inner = plane[..., _RING:-_RING, :]
        sides = [plane[..., :_RING, :], plane[..., -_RING:, :], inner[..., :_RING], inner[..., -_RING:]]
        return torch.cat([side.flatten(-2) for side in sides], dim=-1)

    def in_ring(self, plane: Shaped[Tensor, "hh ww"]) -> Bool[Tensor, "hh ww"]:
        """Which cells of such a plane `ring` takes."""
        mask = torch.ones_like(plane, dtype=torch.bool)
        mask[_RING:-_RING, _RING:-_RING] = False
        return mask

    @cached_property
    def foreground(self) -> Foreground:
        return foreground_on(self.lab, self.ground.colour)


def foreground_on(lab: Float[Tensor, "b 3 h w"], ground: Float[Tensor, "b 3"]) -> Foreground:
    """What differs from a ground of this colour, Lab."""
    return _in_blobs((lab - ground[:, :, None, None]).square().sum(1) > _APART**2)


def some_at_a_time(function: Callable[[Tensor], Tensor], plane: Tensor) -> Tensor:
    """`function` of a batch, as many pictures at a time as a CPU's cache holds with what is derived of them: from
    512 px on one by one, which takes a third of the time."""
    at_once = max(1, _CACHED_PX // max(1, plane.shape[-2] * plane.shape[-1]))
    if not plane.is_cpu or len(plane) <= at_once:
        return function(plane)
    return torch.cat([function(part) for part in plane.split(at_once)])


def symmetric(plane: Float[Tensor, "b h w"], weights: list[float], *, dim: int) -> Float[Tensor, "b hh ww"]:
    """Correlation with a symmetric kernel along one axis, given from its middle outwards; only where it fits."""
    radius, length = len(weights) - 1, plane.shape[dim] - 2 * (len(weights) - 1)
    total = plane.narrow(dim, radius, length) * weights[0]
    for i, weight in enumerate(weights[1:], start=1):
        total.add_(plane.narrow(dim, radius - i, length), alpha=weight)
        total.add_(plane.narrow(dim, radius + i, length), alpha=weight)
    return total


def second_difference(plane: Float[Tensor, "b h w"], *, dim: int) -> Float[Tensor, "b hh ww"]:
    """x[i - 1] - 2 x[i] + x[i + 1] along one axis; empty below three."""
    length = max(0, plane.shape[dim] - 2)
    if length == 0:
        return plane.narrow(dim, 0, 0)
    ends = plane.narrow(dim, 0, length) + plane.narrow(dim, 2, length)
    return ends.sub_(plane.narrow(dim, 1, length), alpha=2)


def squared_gradient(plane: Float[Tensor, "b h w"]) -> Float[Tensor, "b hh ww"]:
    """Square of the difference to the left and upper neighbour; one row and column less."""
    across = plane[:, 1:, 1:] - plane[:, 1:, :-1]
    down = plane[:, 1:, 1:] - plane[:, :-1, 1:]
    return across.square_().addcmul_(down, down)


def tile_means(plane: Float[Tensor, "b h w"], side: int) -> Float[Tensor, "b rows columns"]:
    """Mean over square tiles; what fills no tile is left out."""
    batch, rows, columns = plane.shape[0], plane.shape[1] // side, plane.shape[2] // side
    whole = plane[:, : rows * side, : columns * side]
    # Down first: whole rows are added, which a CPU does many numbers at a time.
    down = whole.reshape(batch, rows, side, columns * side).sum(2)
    return down.view(batch, rows, columns, side).sum(3) / side**2


def _luma(images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
    red, green, blue = images.float().unbind(1)
    return (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def _smooth(luma: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    axis = torch.arange(-SMOOTH_RADIUS, SMOOTH_RADIUS + 1, dtype=torch.float32)
    kernel = torch.exp(-(axis**2) / (2 * SMOOTH_SIGMA**2))
    weights = (kernel / kernel.sum())[SMOOTH_RADIUS:].tolist()
    padded = F.pad(luma[:, None], (SMOOTH_RADIUS,) * 4, mode="replicate")[:, 0]
    return symmetric(symmetric(padded, weights, dim=2), weights, dim=1)


def _pool(images: Shaped[Tensor, "b 3 h w"], tall: int, wide: int) -> Float[Tensor, "b 3 hh ww"]:
    batch, channels, height, width = images.shape
    if tall == wide == 1:
        return images.float()
    # Sums of codes are exact in float32 up to 2^24: 65,000 pixels a cell.
    down = images.float().reshape(batch, channels, height // tall, tall, width).sum(3)
    across = down.view(batch, channels, height // tall, width // wide, wide)
    # The product adds as `sum` does, and a CPU does it three times as fast; elsewhere it may round its inputs.
    return (across @ torch.ones(wide) if across.is_cpu else across.sum(4)) / (tall * wide)


def _in_blobs(mask: Bool[Tensor, "b h w"]) -> Foreground:
    """Labels on the CPU: connected components are a walk, not a convolution."""
    main, sizes = [], []
    for one in mask.cpu().numpy():
        labels = torch.from_numpy(ndimage.label(one, structure=[[1, 1, 1]] * 3)[0]).long()
        size = torch.bincount(labels.flatten())[1:]
        main.append(labels == 1 + size.argmax() if len(size) else torch.zeros_like(labels, dtype=torch.bool))
        sizes.append(size)
    return Foreground(mask, torch.stack(main).to(mask.device), tuple(sizes))
