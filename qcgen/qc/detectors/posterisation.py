"""Too few tones: a histogram like a comb."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from qcgen.core.evidence import Curve, Line
from qcgen.qc.evidence import Evidence, floats
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 64
_SAMPLED = 256
_TAIL = 0.02
_NARROWEST = 16
_FEWEST_LEVELS = 4


class Posterisation:
    """Share of codes that no pixel has, between the 2 % and the 98 % quantile of a channel: the mean over channels.

    Every second pixel and line from a side of 256. Channels whose quantiles lie less than 16 codes apart or that use
    fewer than 4 levels are left out (flat pictures, icons); `few_tones` where no channel remains. Dithering hides
    posterisation; a stretched contrast leaves the same comb. Pictures below 128 px leave some codes empty by chance.
    """

    name: ClassVar[str] = "posterisation"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        counts = _counts(batch)
        between, usable = _between(counts)
        empty = ((counts == 0) & between).sum(2) / between.sum(2).clamp(min=1)
        share = _mean(empty, usable)
        return scored(share, self.range, few_tones=~usable.any(1))

    def explain(self, batch: Batch, index: int) -> Evidence:
        counts = _counts(batch)[index : index + 1]
        between, usable = _between(counts)
        empty = ((counts == 0) & between).sum(2)[0]
        inside = between.sum(2)[0]
        worst = int((torch.where(usable[0], empty / inside.clamp(min=1), -1)).argmax())
        shares = 100 * counts[0, worst].double() / counts[0, worst].sum()
        names = ("red", "green", "blue")
        return Evidence(
            "A photo uses every tone between its darkest and its lightest; too few tones leave gaps as in a comb.",
            curve=Curve(
                floats(torch.arange(256)),
                (Line(f"of the pixels, {names[worst]}", floats(shares)),),
                "code",
                "%",
                filled=True,
            ),
            facts=tuple(
                (f"unused, {name}", f"{int(few)} of {int(of)} codes")
                for name, few, of, counts_too in zip(names, empty, inside, usable[0], strict=True)
                if bool(counts_too)
            ),
        )


def _counts(batch: Batch) -> Int[Tensor, "b 3 256"]:
    step = 2 if short_side(batch) >= _SAMPLED else 1
    return _histograms(batch.images[:, :, ::step, ::step])


def _between(counts: Int[Tensor, "b 3 256"]) -> tuple[Bool[Tensor, "b 3 256"], Bool[Tensor, "b 3"]]:
    """The codes between each channel's quantiles, and which channels count."""
    upward = counts.cumsum(2)
    total = upward[:, :, -1:]
    low = (upward <= _TAIL * total).sum(2)
    high = (upward < (1 - _TAIL) * total).sum(2)
    code = torch.arange(256, device=counts.device)
    between = (code > low[..., None]) & (code < high[..., None])
    return between, (high - low >= _NARROWEST) & ((counts > 0).sum(2) >= _FEWEST_LEVELS)


def _histograms(images: UInt8[Tensor, "b 3 h w"]) -> Int[Tensor, "b 3 256"]:
    planes = images.flatten(0, 1).flatten(1).int()
    offset = 256 * torch.arange(len(planes), dtype=torch.int32, device=images.device)
    return torch.bincount((planes + offset[:, None]).flatten(), minlength=256 * len(planes)).view(-1, 3, 256)


def _mean(values: Float[Tensor, "b 3"], usable: Tensor) -> Float[Tensor, " b"]:
    return (values.double() * usable).sum(1) / usable.sum(1).clamp(min=1)
