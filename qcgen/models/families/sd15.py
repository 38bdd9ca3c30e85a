"""The Stable Diffusion 1.x shape: a text-conditioned latent UNet, an autoencoder and a CLIP text tower in
diffusers' folders."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float
from torch import Tensor, nn

from qcgen.core.errors import SpecError
from qcgen.core.types import ModelRef
from qcgen.models.codec import Autoencoder, load_vae
from qcgen.models.compiled import compile_call, compile_decoder
from qcgen.models.latentparts import LatentParts
from qcgen.models.layout import LOCAL, config_of, locate
from qcgen.models.network import Network, Tap, unet_channels, unet_taps
from qcgen.models.protocol import Embedder
from qcgen.models.towers import ClipTower


@dataclass(frozen=True, slots=True)
class UnetAdapter:
    """How a text-conditioned UNet is called. Follows `models.network.Adapter`."""

    def call(self, core: nn.Module, x: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        return cast(Tensor, core(x, time, cond).sample)

    def channels(self, core: nn.Module) -> list[int]:
        return unet_channels(core)

    def taps(self, core: nn.Module, shape: tuple[int, int]) -> list[Tap]:
        return unet_taps(core)


class Sd15Student:
    """A one-step student of the SD 1.x shape. Follows `models.protocol.Student`.

    `t_init` is the step at which it was distilled: it receives pure noise at unit variance there.
    """

    def __init__(self, ref: ModelRef, parts: "Parts", *, device: str, dtype: torch.dtype) -> None:
        facts = json.loads((parts.root / "qcgen_student.json").read_text())
        self.ref, self.device, self.dtype = ref, device, dtype
        self.schedule = parts.schedule
        self.t_init = facts["t_init"]
        self.unet = parts.load_unet(device, dtype).requires_grad_(False).eval()
        self.vae = parts.load_vae(device, dtype).to(memory_format=torch.channels_last)
        self.text = ClipTower(parts.tokenizer, parts.text_encoder, device)
        side = self.unet.config.sample_size
        self.latent_shape = (self.unet.config.in_channels, side, side)
        self.size_px = int(facts["size_px"])

    def compile(self, batch: int) -> None:
        """Compile what `batch` pictures go through; fewer go through it as it is."""
        self.unet.forward = compile_call(self.unet.forward, batch=batch)
        compile_decoder(self.vae, batch=batch)

    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "n t d"]:
        return self.text.embed(prompts)

    @torch.no_grad()
    def generate(self, noise: Float[Tensor, "b c h w"], cond: Float[Tensor, "b t d"]) -> Float[Tensor, "b c h w"]:
        t = torch.full((len(noise),), self.t_init, device=self.device)
        x_t = self.schedule.start(noise, t)
        scaled, time = self.schedule.network_input(x_t, t)
        output = self.unet(scaled.to(self.dtype), time, cond.to(self.dtype)).sample
        return self.schedule.x_0(output.float(), x_t.float(), t)

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 hh ww"]:
        scaled = (latents / self.vae.config.scaling_factor).to(self.dtype)
        # As the stock pipeline of this family, which knows no shift; `find` refuses an autoencoder that has one.
        return self.vae.decode(scaled).sample.float() / 2 + 0.5


@dataclass(frozen=True, slots=True)
class Parts(LatentParts):
    """Where the parts of a diffusers folder are; parts that a folder shares with another are named in its
    qcgen_model.json. Follows `models.protocol.ModelParts`."""

    name: ClassVar[str] = "sd15"
    network: ClassVar[str] = "unet"
    unet: Path
    text_encoder: Path
    tokenizer: Path

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether a folder is of this family."""
        config = config_of(root, "unet")
        plain = config.get("addition_embed_type") in {None, "text"}
        return config.get("_class_name") == "UNet2DConditionModel" and plain

    @classmethod
    def find(cls, root: Path) -> "Parts":
        """Locate every part; missing ones and pickled weights are refused before anything is loaded."""
        paths = locate(root, weights=("unet", "vae", "text_encoder"), others=("tokenizer", "scheduler"))
        if config_of(root, "vae").get("shift_factor"):
            raise SpecError(f"{root}: the vae has a shift_factor, which this family's pipelines ignore. Cure: another.")
        return cls(root=root, **paths)

    def load_unet(self, device: str, dtype: torch.dtype = torch.float32) -> UNet2DConditionModel:
        unet = UNet2DConditionModel.from_pretrained(self.unet, torch_dtype=dtype, **LOCAL)
        return plain_attention(unet, device).to(device)

    def load_vae(self, device: str, dtype: torch.dtype = torch.float32) -> Autoencoder:
        return load_vae(self.vae, device, dtype)

    def load_network(self, device: str, *, dtype: torch.dtype = torch.float32) -> Network:
        return Network(self.load_unet(device), UnetAdapter(), self.schedule, dtype=dtype)

    def load_embedder(self, device: str) -> Embedder:
        return ClipTower(self.tokenizer, self.text_encoder, device).embed


def plain_attention(unet: UNet2DConditionModel, device: str) -> UNet2DConditionModel:
    """Attention as plain matrix products on the CPU: for a few dozen tokens torch's fused kernel is 2-5x slower
    there."""
    if torch.device(device).type == "cpu":
        unet.set_attn_processor(AttnProcessor())
    return unet
