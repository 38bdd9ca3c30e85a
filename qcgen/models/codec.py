"""Pictures to what a network works on and back: the autoencoders of latent families, and none for pixel families."""

import json
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from jaxtyping import Float
from torch import Tensor, nn

from qcgen.core.errors import SpecError
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.layout import LOCAL
from qcgen.models.pickles import refuse_pickles

Autoencoder: TypeAlias = AutoencoderKL | AutoencoderTiny | PatchAutoencoder


def load_vae(folder: Path, device: str, dtype: torch.dtype = torch.float32) -> Autoencoder:
    """The autoencoder of a folder, frozen.

    Raises:
        SpecError: a class that is not known, or weights as a pickle.
    """
    kinds = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny, PatchAutoencoder)}
    named = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    if named not in kinds:
        raise SpecError(f"{folder}: must be one of {', '.join(kinds)} (got {named}). Cure: take one of these.")
    refuse_pickles(folder)
    vae = kinds[named].from_pretrained(folder, torch_dtype=dtype, **LOCAL)
    return vae.requires_grad_(False).eval().to(device)


def pixels_per_latent(folder: Path) -> int:
    """Pixels a latent stands for each way, from the autoencoder's configuration alone."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "patch" in config:
        return int(config["patch"])
    widths = config.get("block_out_channels") or config["decoder_block_out_channels"]
    return int(2 ** (len(widths) - 1))


class LatentCodec:
    """An autoencoder with the scale and shift that diffusers' pipelines put around it. Follows `protocol.Codec`."""

    def __init__(self, vae: Autoencoder) -> None:
        self.vae = vae
        self.scale = float(vae.config.scaling_factor)
        self.shift = float(getattr(vae.config, "shift_factor", None) or 0.0)

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hh ww"]:
        coded = self.vae.encode(images)
        if isinstance(coded, Tensor):
            latents = coded
        else:
            # The mean of AutoencoderKL's distribution: its deviation is far below the latents'.
            latents = coded.latent_dist.mean if hasattr(coded, "latent_dist") else coded.latents
        return (latents - self.shift) * self.scale

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c hh ww"]) -> Float[Tensor, "b 3 h w"]:
        return self.vae.decode(latents / self.scale + self.shift).sample / 2 + 0.5


class PixelCodec:
    """Pictures in [-1, 1] as they are, RGB or grey, in blocks of `patch` x `patch` pixels. Follows `protocol.Codec`.

    A block's pixels are channels of one place: a permutation, so that noise on it is noise on pixels.
    """

    def __init__(self, colours: Literal[1, 3] = 3, patch: int = 1) -> None:
        self.colours, self.patch = colours, patch

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hh ww"]:
        """Grey is the mean of the three channels."""
        kept = images if self.colours == 3 else images.mean(1, keepdim=True)
        return nn.functional.pixel_unshuffle(kept, self.patch)

    def decode(self, latents: Float[Tensor, "b c hh ww"]) -> Float[Tensor, "b 3 h w"]:
        return nn.functional.pixel_shuffle(latents, self.patch).expand(-1, 3, -1, -1) / 2 + 0.5
