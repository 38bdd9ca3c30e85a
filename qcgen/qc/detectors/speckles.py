"""Dirt on the ground beside the product."""

from typing import ClassVar

import torch
from jaxtyping import Int
from scipy import ndimage
from torch import Tensor

from qcgen.qc.evidence import Evidence, box_of, mask_heat, widened
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 64
_LARGEST = 0.002
_SHOWN = 12


class Speckles:
    """How many small blobs that have not the colour of the frame are not connected with the product.

    Small is at most two thousandths of the picture: the other shoe of a pair is none. The smallest that counts is a
    hundredth of the short side, if it contrasts. Counts the texture of scenes and of patterned grounds too.
    """

    name: ClassVar[str] = "speckles"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "count"
    range: ClassVar[tuple[float, float]] = (0.0, 10_000.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        found = batch.planes.foreground
        cells = found.mask[0].numel()
        small = [int((size <= _LARGEST * cells).sum()) for size in found.sizes]
        # A product that small is no speckle of itself.
        alone = [int(len(size) > 0 and int(size.max()) <= _LARGEST * cells) for size in found.sizes]
        counts = [count - one for count, one in zip(small, alone, strict=True)]
        return scored(torch.tensor(counts, dtype=torch.float64), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        labels, small = _specks(batch, index)
        marked = torch.isin(labels, small)
        return Evidence(
            f"Marked: {len(small)} specks beside the product; boxes are around the largest {_SHOWN} of them at most.",
            mask_heat(widened(marked, 1), "places"),
            boxes=tuple(box_of(widened(labels == int(one), 2), "speck") for one in small[:_SHOWN]),
        )


def _specks(batch: Batch, index: int) -> tuple[Int[Tensor, "h w"], Int[Tensor, " k"]]:
    """Blobs by number, and the numbers of those that count, largest first."""
    found = batch.planes.foreground
    labels = torch.from_numpy(ndimage.label(found.mask[index].cpu().numpy(), structure=[[1, 1, 1]] * 3)[0]).long()
    size = torch.bincount(labels.flatten())
    main = int(labels[found.main[index].cpu()][0]) if bool(found.main[index].any()) else 0
    order = size.argsort(descending=True, stable=True)
    counts = (order != 0) & (size[order] <= _LARGEST * labels.numel()) & (order != main)
    return labels, order[counts]
