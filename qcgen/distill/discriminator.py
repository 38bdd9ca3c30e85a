"""A discriminator on feature maps of the teacher or the fake score; its logit estimates log p_data - log p_student."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Discriminator(nn.Module):
    """One small convolutional head per feature map; the logit is the mean over heads and places.

    Args:
        width: channels of the heads, a multiple of 8.
    """

    def __init__(self, channels: list[int], cond_dim: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, width, 3, padding=1),
                nn.GroupNorm(8, width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.SiLU(),
            )
            for c in channels
        )
        self.ends = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in channels)
        self.caption = nn.Linear(cond_dim, width * len(channels))

    def forward(self, maps: list[Tensor], cond: Float[Tensor, "b k d"]) -> Float[Tensor, " b"]:
        scale = self.caption(cond.mean(1)).chunk(len(maps), dim=1)
        logits = []
        for head, end, part, hidden in zip(self.heads, self.ends, scale, maps, strict=True):
            # The mean in float32: in bf16 a logit of 3 moves in steps of 1/64, and R1 differences would vanish.
            logits.append(end(head(hidden) * (1 + part[:, :, None, None])).float().mean((1, 2, 3)))
        return torch.stack(logits).mean(0)


def discriminator_loss(real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Tensor:
    """Logistic loss; at its optimum the logit is the log density ratio and JSD = ln 2 - loss / 2 (Goodfellow et al.
    2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gradient_penalty(logits: Float[Tensor, " b"], perturbed: Float[Tensor, " b"], *, sigma: float) -> Float[Tensor, ""]:
    """E |grad D|^2 with respect to the clean picture, from one random direction a picture and no double backward.

    E_n [(D(x + sigma n) - D(x))^2] / sigma^2 tends to |grad D|^2 for small sigma. `perturbed` must come from the same
    noise level and the same draw of the noise as `logits`. Source: R1 (Mescheder et al. 2018); finite differences: Lin
    et al. 2025, arXiv:2501.08316.
    """
    return ((perturbed - logits) / sigma).square().mean()
