"""Latent drift: per-channel means and deviations against real latents."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from qcgen.qc.gather import Gathered
from qcgen.qc.protocol import Number, Resampling


class LatentDrift(Gathered):
    """latent_shift: the largest |mean - real mean| over channels, in real deviations. latent_std_low and _high: the
    smallest and the largest ratio of a channel's deviation to the real one.

    A shift above 0.25 or a ratio outside 0.6 .. 1.6 is the sign of a collapse (rules of the trainer). Extremes over
    channels: noise alone gives a shift of a few hundredths at n = 2,000. Error: bootstrap.
    """

    name: ClassVar[str] = "latent_drift"
    reads: ClassVar[tuple[str, ...]] = ("latents",)
    real_rows: ClassVar[Literal["all", "held_out"]] = "all"
    resampling: ClassVar[Resampling] = "bootstrap"
    numbers: ClassVar[Mapping[str, Number]] = {
        "latent_shift": Number("deviations", "lower"),
        "latent_std_low": Number("ratio", "real"),
        "latent_std_high": Number("ratio", "real"),
    }

    def compute(self) -> Mapping[str, float]:
        mean, deviation = _moments(*self.rows(real=False))
        real_mean, real_deviation = _moments(*self.rows(real=True))
        ratio = deviation / real_deviation
        return {
            "latent_shift": float(((mean - real_mean).abs() / real_deviation).max()),
            "latent_std_low": float(ratio.min()),
            "latent_std_high": float(ratio.max()),
        }

    def reference(self) -> Mapping[str, float]:
        return {}


def _moments(latents: Float[Tensor, "n 2 c"]) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Mean and deviation of each channel over pictures and places, from each picture's mean and mean square."""
    mean, square = latents.double().mean(0)
    return mean, (square - mean.square()).clamp(min=1e-12).sqrt()
