"""Saturation and fine texture: where over-trained students show first."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class Tone(Gathered):
    """Means over pictures. saturation: chroma (largest less smallest of R, G, B, in [0, 1]). high_frequency: share of
    the luma's variance above half the Nyquist frequency.

    Good is what real pictures have. Error: bootstrap.
    """

    name: ClassVar[str] = "tone"
    reads: ClassVar[tuple[str, ...]] = ("tone",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "bootstrap"
    numbers: ClassVar[Mapping[str, Number]] = {
        "saturation": Number("chroma", "real"),
        "high_frequency": Number("share", "real"),
    }

    def compute(self) -> Mapping[str, float]:
        return _means(*self.rows(real=False))

    def reference(self) -> Mapping[str, float]:
        return _means(*self.rows(real=True))


def _means(tone: Float[Tensor, "n 2"]) -> dict[str, float]:
    saturation, high_frequency = tone.double().mean(0).tolist()
    return {"saturation": saturation, "high_frequency": high_frequency}
