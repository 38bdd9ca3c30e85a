"""The density ratio r = p_teacher / p_student per noise level, in log space, calibrated by statistics carried over from
earlier steps. Saved apart from the student."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.distillspec import RatioSpec
from qcgen.distill.running import RunningSums

_FAKE = ("count", "ratio", "clipped_ratio", "clipped", "logit", "loss", "right")
_REAL = ("real_count", "inverse_ratio", "real_logit", "real_loss", "real_right")
_STUDENT = ("count", "weight", "weight_square", "distance")
# e^10 = 22,000: one wild logit must not own a bin's mean for a hundred steps.
_LARGEST_LOGIT = 10.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """log r per sample after normalisation and clipping, the trust (0..1) of each sample's bin, and the bin."""

    log_ratio: Float[Tensor, " b"]
    trust: Float[Tensor, " b"]
    bins: Int[Tensor, " b"]
    clipped_share: float


class RatioEstimator:
    """Turns the discriminator's logits into calibrated ratios.

    E_q[r] = 1 in each bin normalises r; E_p[1/r] = 1, the logistic loss, the accuracy and the effective sample size say
    how far the bin may be trusted. All means are shrunk to the value of r = 1 while a bin has seen little, and use
    earlier steps only: gradient accumulation, ranks and batch size do not change a weight, and a bin with one sample
    does not silently become r = 1.

    Levels are places in [0, 1): quantiles of the sampling law, or places on the log-SNR axis (`binning`); the caller
    gives whichever the spec names.
    """

    def __init__(self, spec: RatioSpec) -> None:
        self.spec = spec
        self._critic = RunningSums((*_FAKE, *_REAL), bins=spec.bins, decay=spec.ema)
        self._student = RunningSums(_STUDENT, bins=spec.bins, decay=spec.ema)

    def bin_of(self, level: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        return (level * self.spec.bins).long().clamp(0, self.spec.bins - 1)

    def read(self, logits: Float[Tensor, " b"], level: Float[Tensor, " b"]) -> Ratio:
        """Normalise the discriminator's logits of student samples."""
        bins = self.bin_of(level)
        raw = logits.float() - self.mean_ratio().log().to(logits.device, torch.float32)[bins]
        log_ratio = self._clip(raw)
        trust = self.trust().to(logits.device, torch.float32)[bins]
        return Ratio(log_ratio, trust, bins, (raw != log_ratio).float().mean().item())

    def collect_fake(self, logits: Float[Tensor, " b"], level: Float[Tensor, " b"]) -> None:
        """Logits of student samples in the discriminator's step, one micro-batch; those that are not finite count
        nowhere, since a running sum would never forget them."""
        finite = logits.detach().isfinite()
        logits, level = logits.detach()[finite].double(), level[finite]
        raw = logits - self.mean_ratio().log().to(logits.device)[self.bin_of(level)]
        clipped = self._clip(raw)
        values = {
            "count": torch.ones_like(logits),
            "ratio": logits.clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT).exp(),
            "clipped_ratio": self._clip(logits).exp(),
            "clipped": (raw != clipped).double(),
            "logit": logits.abs(),
            "loss": F.softplus(logits),
            "right": (logits < 0).double(),
        }
        self._critic.collect(self.bin_of(level), values)

    def collect_real(self, logits: Float[Tensor, " b"], level: Float[Tensor, " b"]) -> None:
        """Logits of data in the discriminator's step, one micro-batch; those that are not finite count nowhere."""
        finite = logits.detach().isfinite()
        logits, level = logits.detach()[finite].double(), level[finite]
        values = {
            "real_count": torch.ones_like(logits),
            "inverse_ratio": (-logits).clamp(-_LARGEST_LOGIT, _LARGEST_LOGIT).exp(),
            "real_logit": logits.abs(),
            "real_loss": F.softplus(-logits),
            "real_right": (logits > 0).double(),
        }
        self._critic.collect(self.bin_of(level), values)

    def collect_student(self, ratio: Ratio, *, weight: Float[Tensor, " b"], distance: Float[Tensor, " b"]) -> None:
        """h(r) and the normaliser's distances in the student's step, one micro-batch."""
        finite = weight.detach().isfinite() & distance.isfinite()
        weight, distance = weight.detach()[finite].double(), distance[finite]
        values = {
            "count": torch.ones_like(weight),
            "weight": weight,
            "weight_square": weight.square(),
            "distance": distance,
        }
        self._student.collect(ratio.bins[finite], values)

    def commit_critic(self) -> None:
        """End of a discriminator step: all micro-batches of all ranks count at once."""
        self._critic.commit()

    def commit_student(self) -> None:
        """End of a student step."""
        self._student.commit()

    def mean_ratio(self) -> Float[Tensor, " bins"]:
        """E_q[r]; 1 for a calibrated discriminator."""
        return self._critic.mean("ratio", "count", prior=self.spec.prior)

    def mean_inverse_ratio(self) -> Float[Tensor, " bins"]:
        """E_p[1/r]; 1 for a calibrated discriminator."""
        return self._critic.mean("inverse_ratio", "real_count", prior=self.spec.prior)

    def mean_weight(self) -> Float[Tensor, ""]:
        """E_q[h] over all levels, shrunk to h(1) = 1: what the weights are divided by.

        One number for all bins keeps the relative weight of the noise levels, as the mini-batch mean of the paper does.
        """
        total, count = self._student["weight"].sum(), self._student["count"].sum()
        return (total + self.spec.prior) / (count + self.spec.prior)

    def mean_distance(self) -> Float[Tensor, " bins"]:
        """Mean |x_0 - mu_teacher|; NaN where a bin has seen nothing."""
        return self._student.mean("distance", "count")

    def effective_share(self) -> Float[Tensor, " bins"]:
        """E[h]^2 / E[h^2]: the share of the samples that the weights leave in effect; 1 for reverse KL."""
        prior = self.spec.prior
        mean = self._student.mean("weight", "count", prior=prior)
        return mean.square() / self._student.mean("weight_square", "count", prior=prior)

    def accuracy(self) -> Float[Tensor, " bins"]:
        """Share of data and student samples that the discriminator tells apart; 0.5 is chance."""
        fake = self._critic.mean("right", "count", prior=self.spec.prior, at=0.5)
        return (fake + self._critic.mean("real_right", "real_count", prior=self.spec.prior, at=0.5)) / 2

    def jensen_shannon(self) -> Float[Tensor, " bins"]:
        """JSD = ln 2 - L_D / 2 in nats, with L_D the sum of both logistic terms (Goodfellow et al. 2014); a lower bound
        for any discriminator."""
        fake = self._critic.mean("loss", "count", prior=self.spec.prior, at=math.log(2))
        real = self._critic.mean("real_loss", "real_count", prior=self.spec.prior, at=math.log(2))
        return math.log(2) - (fake + real) / 2

    def trust(self) -> Float[Tensor, " bins"]:
        """1 where r is calibrated, 0 where h must shrink to 1, which is reverse KL.

        Full where E_q[r] and E_p[1/r] are within 0.3 of 1, nothing from 1.3 on, in between linear; times the share of
        seen samples over seen and prior ones; nothing where the discriminator saturates (mean |logit| over 6 or
        accuracy over 0.98); in proportion below an effective share of 0.1.
        """
        off = torch.maximum((self.mean_ratio() - 1).abs(), (self.mean_inverse_ratio() - 1).abs())
        seen = self._critic["count"] / (self._critic["count"] + self.spec.prior)
        return (1.3 - off).clamp(0, 1) * seen * ~self.saturated() * (self.effective_share() / 0.1).clamp(max=1)

    def saturated(self) -> Bool[Tensor, " bins"]:
        """Where the discriminator tells data and student apart so well that its logits carry no ratio."""
        size = self._critic.mean("logit", "count", prior=self.spec.prior, at=0.0)
        real_size = self._critic.mean("real_logit", "real_count", prior=self.spec.prior, at=0.0)
        return (torch.maximum(size, real_size) > 6) | (self.accuracy() > 0.98)

    def table(self) -> dict[str, list[float]]:
        """Every statistic per bin, lowest noise first, for the event log."""
        prior = self.spec.prior
        columns = {
            "seen": self._critic["count"],
            "mean_ratio": self.mean_ratio(),
            "mean_inverse_ratio": self.mean_inverse_ratio(),
            "mean_clipped_ratio": self._critic.mean("clipped_ratio", "count", prior=prior),
            "clipped_share": self._critic.mean("clipped", "count", prior=prior, at=0.0),
            "accuracy": self.accuracy(),
            "jensen_shannon": self.jensen_shannon(),
            "effective_share": self.effective_share(),
            "mean_weight": self._student.mean("weight", "count", prior=prior),
            "trust": self.trust(),
        }
        return {name: [round(float(value), 5) for value in column] for name, column in columns.items()}

    def state_dict(self) -> dict[str, object]:
        return {"critic": self._critic.state_dict(), "student": self._student.state_dict()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self._critic.load_state_dict(cast(dict[str, Tensor], state["critic"]))
        self._student.load_state_dict(cast(dict[str, Tensor], state["student"]))

    def _clip(self, log_ratio: Tensor) -> Tensor:
        low, high = self.spec.clip
        return log_ratio.clamp(math.log(low), math.log(high))


def score_cosine(
    logit_gradient: Float[Tensor, "b c h w"], score_difference: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """cos(grad logit, s_teacher - s_fake) per sample: 1 where discriminator and fake score agree about the ratio.

    grad log r = s_p - s_q, and s_p - s_q = alpha (mu_p - mu_q) / sigma^2.
    """
    return F.cosine_similarity(logit_gradient.flatten(1), score_difference.flatten(1), dim=1)
