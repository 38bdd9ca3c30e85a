"""Softened reverse Kullback-Leibler divergence, 4 KL((p + q) / 2 || p): what a non-saturating GAN minimises."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class SoftenedReverseKl:
    """f(r) = 2 (r + 1) ln(1/2 + 1/(2 r)), h(r) = 2 / (1 + r): more mode-seeking than reverse KL.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "softened_reverse_kl"
    facts: ClassVar[Facts] = Facts(
        generator="2*(r + 1)*log((r + 1)/(2*r))",
        weight="2/(1 + r)",
        tilt=-0.5,
        limits=(2.0, 0.0),
        bound=float("inf"),
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        log_m = torch.logaddexp(log_p, log_q) - math.log(2)
        return 4 * log_m.exp() * (log_m - log_p) + 2 * (log_p.exp() - log_q.exp())

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 2 * torch.sigmoid(-log_ratio)
