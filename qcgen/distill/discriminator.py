"""A discriminator on the frozen teacher's features; its logit estimates log p_data(x_t) - log p_student(x_t)."""

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def features(unet: UNet2DConditionModel, x_t: Tensor, t: Tensor, cond: Tensor) -> list[Tensor]:
    """Outputs of the last down block of each resolution and of the middle block; the decoder half is not run."""
    embedded = unet.time_embedding(unet.time_proj(t).to(x_t.dtype))
    pooled = unet.get_aug_embed(emb=embedded, encoder_hidden_states=cond, added_cond_kwargs={})
    embedded = embedded if pooled is None else embedded + pooled
    hidden = unet.conv_in(x_t)
    found = []
    for block in unet.down_blocks:
        attends = getattr(block, "has_cross_attention", False)
        hidden, taps = block(hidden, embedded, encoder_hidden_states=cond) if attends else block(hidden, embedded)
        found.append(taps[-2] if len(taps) > unet.config.layers_per_block else taps[-1])
    return [*found, unet.mid_block(hidden, embedded, encoder_hidden_states=cond)]


class Discriminator(nn.Module):
    """One small convolutional head per feature map; the logit is the mean over heads and places."""

    def __init__(self, channels: list[int], cond_dim: int, width: int = 96) -> None:
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
            logits.append(end(head(hidden) * (1 + part[:, :, None, None])).mean((1, 2, 3)))
        return torch.stack(logits).mean(0)


def discriminator_loss(real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Tensor:
    """Logistic loss; at its optimum the logit is the log density ratio and JSD = ln 2 - loss / 2 (Goodfellow et al.
    2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()
