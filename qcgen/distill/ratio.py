"""The density ratio r = p_teacher / p_student per noise level, normalised by statistics carried over from earlier
steps."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qcgen.core.distillspec import RatioSpec


@dataclass(frozen=True, slots=True)
class Ratio:
    """log r per sample after normalisation and clipping, and the trust (0..1) of each sample's bin."""

    log_ratio: Float[Tensor, " b"]
    trust: Float[Tensor, " b"]
    clipped_share: float


class RatioEstimator:
    """Bins are quantiles of the sampled noise levels; E_q[r] = 1 in each bin normalises r.

    The running mean is shrunk to 1 by its effective count, and uses earlier steps only, so that neither gradient
    accumulation nor the
    batch size changes the weights, and a bin with one sample does not silently become r = 1.
    """

    def __init__(self, spec: RatioSpec, *, prior_count: float = 8.0) -> None:
        self.spec = spec
        self.prior_count = prior_count
        self.total = torch.zeros(spec.bins, dtype=torch.float64)
        self.inverse_total = torch.zeros(spec.bins, dtype=torch.float64)
        self.count = torch.zeros(spec.bins, dtype=torch.float64)
        self.real_count = torch.zeros(spec.bins, dtype=torch.float64)

    def bin_of(self, level: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Bin of a noise level given as its quantile in [0, 1) under the sampling law."""
        return (level * self.spec.bins).long().clamp(0, self.spec.bins - 1)

    def mean_ratio(self) -> Float[Tensor, " bins"]:
        """E_q[r] per bin, shrunk to 1 while the bin has seen little."""
        return (self.total + self.prior_count) / (self.count + self.prior_count)

    def mean_inverse_ratio(self) -> Float[Tensor, " bins"]:
        """E_p[1/r] per bin, shrunk to 1; 1 when the discriminator is calibrated."""
        return (self.inverse_total + self.prior_count) / (self.real_count + self.prior_count)

    def trust(self) -> Float[Tensor, " bins"]:
        """1 where E_q[r] and E_p[1/r] are within 0.3 of 1, falling to 0 at 1.3: there h shrinks to 1, which is
        reverse KL."""
        off = torch.maximum((self.mean_ratio() - 1).abs(), (self.mean_inverse_ratio() - 1).abs())
        seen = self.count / (self.count + self.prior_count)
        return (1 - (off - 0.3)).clamp(0, 1) * seen

    def read(self, logits: Float[Tensor, " b"], level: Float[Tensor, " b"]) -> Ratio:
        """Normalise the discriminator's logits of student samples."""
        bins = self.bin_of(level)
        low, high = self.spec.clip
        raw = logits.float() - self.mean_ratio()[bins].log().to(logits.device, torch.float32)
        log_ratio = raw.clamp(torch.tensor(low).log().item(), torch.tensor(high).log().item())
        clipped = (raw != log_ratio).float().mean().item()
        return Ratio(log_ratio, self.trust()[bins].to(logits.device, torch.float32), clipped)

    def update(self, fake_logits: Tensor, fake_level: Tensor, real_logits: Tensor, real_level: Tensor) -> None:
        """Take in the logits of one optimiser step (all micro-batches together): student samples, then real ones."""
        decay = self.spec.ema
        fake, real = fake_logits.double().clamp(-10, 10).exp(), (-real_logits.double().clamp(-10, 10)).exp()
        fake_bin, real_bin = self.bin_of(fake_level), self.bin_of(real_level)
        zeros = torch.zeros(self.spec.bins, dtype=torch.float64)
        self.total = decay * self.total + zeros.index_add(0, fake_bin, fake)
        self.count = decay * self.count + zeros.index_add(0, fake_bin, torch.ones_like(fake))
        self.inverse_total = decay * self.inverse_total + zeros.index_add(0, real_bin, real)
        self.real_count = decay * self.real_count + zeros.index_add(0, real_bin, torch.ones_like(real))

    def state_dict(self) -> dict[str, Tensor]:
        return {
            "total": self.total,
            "inverse_total": self.inverse_total,
            "count": self.count,
            "real_count": self.real_count,
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.total, self.inverse_total = state["total"], state["inverse_total"]
        self.count, self.real_count = state["count"], state["real_count"]
