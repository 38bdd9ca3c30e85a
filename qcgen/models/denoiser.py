"""How well a diffusion model explains a picture under a caption: its denoising error."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.models.parts import find_parts
from qcgen.models.protocol import Embedder, Teacher

_CAPTIONS_KEPT = 1024


class Denoiser:
    """A multi-step model with its codec and text tower, in eval mode, computing in bfloat16.

    Args:
        folder: in diffusers format.

    Raises:
        PrerequisiteError: no such folder, or parts are missing.
        SpecError: no family recognises it.
    """

    def __init__(self, folder: Path, *, device: str) -> None:
        parts = find_parts(folder, where="teacher")
        self._side, self._noising, self._device = parts.size_px, parts.schedule, device
        self._network = cast(Teacher, parts.load_network(device, dtype=torch.bfloat16).eval())
        # A catalogue repeats a few hundred captions for every picture.
        self._embed = lru_cache(maxsize=_CAPTIONS_KEPT)(partial(_embed, parts.load_embedder(device)))
        self._codec = parts.load_codec(device)

    @torch.no_grad()
    def errors(
        self, image: UInt8[Tensor, "1 3 h w"], captions: Sequence[str], *, draws: int, quantile: float
    ) -> Float[Tensor, " k"]:
        """E ||mu(x_t; caption) - x_0||^2 per latent number, for one square picture and each caption, in float64.

        Every caption sees the same noise, and every picture too, so that differences are compared and not draws.

        Args:
            draws: noises that the mean is over.
            quantile: the noise level, a share of the model's own range of times: 1 is pure noise.
        """
        pixels = image.to(self._device).float() / 127.5 - 1
        if pixels.shape[-1] != self._side:
            pixels = F.interpolate(pixels, size=(self._side, self._side), mode="bilinear", antialias=True)
        latent = self._codec.encode(pixels)
        noise = torch.stack([_noise(draw, latent.shape[1:]) for draw in range(draws)]).to(latent)
        time = self._noising.times(torch.tensor([quantile]), low=0.0, high=1.0).to(self._device)
        alpha, sigma = self._noising.coefficients(time, latent)
        noisy = (alpha * latent + sigma * noise).repeat(len(captions), 1, 1, 1)
        condition = torch.stack([self._embed(caption) for caption in captions]).repeat_interleave(draws, 0)
        found = self._network.denoise(noisy, time.expand(len(noisy)), condition)
        return (found - latent).square().double().flatten(1).mean(1).view(len(captions), draws).mean(1).cpu()


def _embed(embedder: Embedder, caption: str) -> Tensor:
    return embedder([caption])[0]


def _noise(draw: int, shape: Sequence[int]) -> Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(draw))
