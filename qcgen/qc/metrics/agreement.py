"""Does the picture show the garment and the colour that were asked for?"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class Agreement(Gathered):
    """product_top1: share whose nearest product text is the one asked for. colour_agreement: share of the pictures with
    a garment in view whose dominant colour lies in the range of the asked name (`detectors.colour_match`).

    The reference is that of held-out photos. A guided model may well score above it: it draws what the encoder finds
    typical. Error: bootstrap.
    """

    name: ClassVar[str] = "agreement"
    reads: ClassVar[tuple[str, ...]] = ("product_right", "colour_right")
    real_rows: ClassVar[Literal["all", "held_out"]] = "held_out"
    resampling: ClassVar[Resampling] = "bootstrap"
    numbers: ClassVar[Mapping[str, Number]] = {
        "product_top1": Number("share", "higher"),
        "colour_agreement": Number("share", "higher"),
    }

    def compute(self) -> Mapping[str, float]:
        return _shares(*self.rows(real=False))

    def reference(self) -> Mapping[str, float]:
        return _shares(*self.rows(real=True))


def _shares(product_right: Float[Tensor, " n"], colour_right: Float[Tensor, "n 2"]) -> dict[str, float]:
    """`colour_right`: (1 if a colour could be judged, 1 if it was right)."""
    shares = {"product_top1": float(product_right.double().mean())}
    judged, right = colour_right.double().sum(0).tolist()
    return shares | {"colour_agreement": right / judged} if judged else shares
