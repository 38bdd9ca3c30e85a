"""A one-step student of any family, from the parts of its folder."""

import json
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.types import ModelRef
from qcgen.models.card import STUDENT_FILE
from qcgen.models.codec import LatentCodec
from qcgen.models.compiled import compile_call, compile_decoder
from qcgen.models.network import Network
from qcgen.models.protocol import ModelParts


class OneStepStudent:
    """Follows `models.protocol.Student`. Parameters stay float32; `dtype` is what the network computes in."""

    def __init__(self, ref: ModelRef, parts: ModelParts, *, device: str, dtype: torch.dtype) -> None:
        facts = json.loads((parts.root / STUDENT_FILE).read_text(encoding="utf-8"))
        self.ref, self.device, self.dtype = ref, device, dtype
        self.t_init = float(facts["t_init"])
        self.size_px = int(facts["size_px"])
        self.latent_shape = parts.latent_shape
        network = parts.load_network(device, dtype=dtype)
        assert isinstance(network, Network)
        self.network = network.requires_grad_(False).eval()
        self.codec, self.embedder = parts.load_codec(device), parts.load_embedder(device)

    def compile(self, batch: int) -> None:
        """Compile what `batch` pictures go through; fewer go through it as it is."""
        self.network.core.forward = compile_call(self.network.core.forward, batch=batch)
        if isinstance(self.codec, LatentCodec):
            compile_decoder(self.codec.vae, batch=batch)

    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "n k d"]:
        return self.embedder(prompts)

    @torch.no_grad()
    def generate(self, noise: Float[Tensor, "b c h w"], cond: Float[Tensor, "b k d"]) -> Float[Tensor, "b c h w"]:
        t = torch.full((len(noise),), self.t_init, device=self.device)
        return self.network.denoise(self.network.noising.start(noise, t).float(), t, cond.float())

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 hh ww"]:
        return self.codec.decode(latents)
