"""A patch autoencoder: principal components of pixel patches as latents, and a small convolutional refiner behind
the decoder.

The linear part is the Karhunen-Loève transform of `patch` x `patch` blocks, known in closed form, so that a teacher
can be trained on
its latents at once; the refiner learns to remove the block borders and to bring back detail.
"""

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Decoded:
    """What diffusers' autoencoders call a decoder output."""

    sample: Float[Tensor, "b 3 h w"]


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Pixels in [-1, 1] to latents of about unit deviation and back.

    Args:
        patch: side of a block; the latents are this much smaller each way.
        latent_channels: principal components kept.
        width, blocks: of the refiner, which works on 4x4 pixel groups.
        context_blocks: of the refiner's second input, which sees the neighbouring latents at their own resolution.
    """

    config_name = "config.json"

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        patch: int = 16,
        latent_channels: int = 24,
        width: int = 96,
        blocks: int = 3,
        context_blocks: int = 0,
        scaling_factor: float = 1.0,
        sample_size: int = 128,
    ) -> None:
        super().__init__()
        pixels = 3 * patch * patch
        self.analysis = nn.Conv2d(3, latent_channels, patch, stride=patch)
        self.synthesis = nn.Conv2d(latent_channels, pixels, 1)
        self.enter = nn.Conv2d(48, width, 3, padding=1)
        self.middle = nn.ModuleList(_residual(width) for _ in range(blocks))
        self.context_enter = nn.Conv2d(latent_channels, width, 3, padding=1) if context_blocks else None
        self.context = nn.ModuleList(_residual(width) for _ in range(context_blocks))
        self.leave = nn.Conv2d(width, 48, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hh ww"]:
        """Latents; sides must be multiples of the patch."""
        return self.analysis(images)

    def decode(self, latents: Float[Tensor, "b c hh ww"]) -> Decoded:
        rough = F.pixel_shuffle(self.synthesis(latents), self.config.patch)
        hidden = self.enter(F.pixel_unshuffle(rough, 4))
        if self.context_enter is not None:
            around = self.context_enter(latents)
            for block in self.context:
                around = around + block(F.silu(around))
            hidden = hidden + F.interpolate(around, scale_factor=self.config.patch // 4, mode="nearest")
        for block in self.middle:
            hidden = hidden + block(F.silu(hidden))
        return Decoded(rough + F.pixel_shuffle(self.leave(F.silu(hidden)), 4))

    @torch.no_grad()
    def fit(self, images: Float[Tensor, "b 3 h w"], *, power: float = 0.5) -> Float[Tensor, " c"]:
        """Set the linear part to the principal components of the pictures' patches.

        A component of deviation s is scaled to s^power / rms: with power below 1 the fine components are raised,
        but stay below the coarse ones.

        Returns:
            Deviation of each component before scaling, in pixel units.
        """
        patch, count = self.config.patch, self.config.latent_channels
        vectors = F.pixel_unshuffle(images, patch).permute(0, 2, 3, 1).reshape(-1, 3 * patch * patch).double()
        mean = vectors.mean(0)
        values, basis = torch.linalg.eigh((vectors - mean).T @ (vectors - mean) / len(vectors))
        deviation = values.flip(0)[:count].sqrt()
        scale = deviation ** (power - 1)
        scale = scale / (scale * deviation).square().mean().sqrt()
        forward = basis.flip(1)[:, :count].T * scale[:, None]
        backward = basis.flip(1)[:, :count] / scale
        # pixel_unshuffle orders a block as (channel, row, column), which is the layout of a convolution's kernel.
        self.analysis.load_state_dict({"weight": forward.reshape(count, 3, patch, patch), "bias": -forward @ mean})
        self.synthesis.load_state_dict({"weight": backward[:, :, None, None], "bias": mean})
        return deviation.float()


def _residual(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
