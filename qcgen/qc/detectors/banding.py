"""False contours in what should be smooth gradients."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qcgen.qc.evidence import Evidence, laid_out, mask_heat, widened
from qcgen.qc.planes import some_at_a_time
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, short_side, unscored

_SMALLEST = 32
_PLATEAU = 3
_FAINTEST, _STRONGEST = 1.5, 40.0


class Banding:
    """Share of places where luma steps by 1.5 to 40 codes between two plateaus, the larger of rows and columns.

    A plateau is four pixels in a row of exactly one colour. Neither noise nor the 8 bits of a file make such steps on
    their own; quantised gradients do, and so do flat drawings in neighbouring tones. Noise and dithering hide banding.
    """

    name: ClassVar[str] = "banding"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "fraction"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False

    def score(self, batch: Batch) -> Scores:
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        down, across = (some_at_a_time(_share, lines) for lines in (batch.planes.down, batch.planes.across))
        return scored(down.maximum(across), self.range)

    def explain(self, batch: Batch, index: int) -> Evidence:
        across = _on_picture(batch.planes.across[index], batch.luma.shape[1])
        down = _on_picture(batch.planes.down[index], batch.luma.shape[2]).T
        steps = torch.maximum(laid_out(across.float(), batch), laid_out(down.float(), batch))
        return Evidence(
            "Marked: steps between two plateaus of exactly one colour each, where a gradient should be smooth.",
            mask_heat(widened(steps, 1), "steps"),
            facts=(
                ("steps across", f"{float(_contours(batch.planes.across[index : index + 1]).double().mean()):.2%}"),
                ("steps down", f"{float(_contours(batch.planes.down[index : index + 1]).double().mean()):.2%}"),
            ),
        )


def _share(lines: Float[Tensor, "b n w"]) -> Float[Tensor, " b"]:
    return _contours(lines).float().mean(2).mean(1)


def _on_picture(lines: Float[Tensor, "n w"], rows: int) -> Bool[Tensor, "m w"]:
    """Contours at the pixel after each step, for every line of the picture."""
    found = torch.zeros_like(lines, dtype=torch.bool)
    inner = _contours(lines[None])[0]
    found[:, _PLATEAU + 1 : _PLATEAU + 1 + inner.shape[1]] = inner
    return found.repeat_interleave(-(-rows // len(lines)), 0)[:rows]


def _contours(lines: Float[Tensor, "b n w"]) -> Bool[Tensor, "b n ww"]:
    step = (lines[:, :, 1:] - lines[:, :, :-1]).abs_()
    # Comparing takes a CPU several times as long as arithmetic and a test for zero, which say the same.
    uneven = step.bool()
    inner = step.shape[2] - 2 * _PLATEAU
    middle = step.narrow(2, _PLATEAU, inner)
    fails = (middle.clamp(_FAINTEST, _STRONGEST) - middle).bool()
    beside = uneven.narrow(2, 0, inner + _PLATEAU + 1).clone()
    for i in range(1, _PLATEAU):
        beside |= uneven.narrow(2, i, inner + _PLATEAU + 1)
    fails |= beside.narrow(2, 0, inner)
    fails |= beside.narrow(2, _PLATEAU + 1, inner)
    return fails.logical_not_()
