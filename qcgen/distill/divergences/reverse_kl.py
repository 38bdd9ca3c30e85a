"""Reverse Kullback-Leibler divergence, KL(student || teacher): plain distribution matching."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class ReverseKl:
    """f(r) = -ln r, h(r) = 1: mode-seeking, adds no variance, needs no ratio.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "reverse_kl"
    facts: ClassVar[Facts] = Facts(
        generator="-log(r)",
        weight="1",
        tilt=0.0,
        limits=(1.0, 1.0),
        bound=float("inf"),
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return log_q.exp() * (log_q - log_p) + log_p.exp() - log_q.exp()

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.ones_like(log_ratio)
