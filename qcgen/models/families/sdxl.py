"""The SDXL shape: a latent UNet with two text towers, a pooled text vector and the picture's size as numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from qcgen.core.errors import SpecError
from qcgen.models.latentparts import LatentParts
from qcgen.models.layout import LOCAL, config_of, locate
from qcgen.models.network import Network, Tap, pack, unet_channels, unet_taps, unpack
from qcgen.models.protocol import Embedder
from qcgen.models.towers import ClipTower


@dataclass(frozen=True, slots=True)
class TextTimeAdapter:
    """How the UNet is called: the condition holds the tokens' states and, in its last rows, the pooled vector.

    Attributes:
        pooled: size of the pooled vector.
        size_px: side of the pictures; they count as uncropped, as the pipeline assumes by default.
    """

    pooled: int
    size_px: int

    def call(self, core: nn.Module, x: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        hidden, pooled = unpack(cond, self.pooled)
        size = float(self.size_px)
        # Original height and width, crop's top and left, target height and width.
        ids = x.new_tensor([size, size, 0.0, 0.0, size, size]).expand(len(x), -1)
        return cast(Tensor, core(x, time, hidden, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}).sample)

    def channels(self, core: nn.Module) -> list[int]:
        return unet_channels(core)

    def taps(self, core: nn.Module, shape: tuple[int, int]) -> list[Tap]:
        return unet_taps(core)


@dataclass(frozen=True, slots=True)
class SdxlParts(LatentParts):
    """Follows `models.protocol.ModelParts`."""

    name: ClassVar[str] = "sdxl"
    network: ClassVar[str] = "unet"
    unet: Path
    text_encoder: Path
    text_encoder_2: Path
    tokenizer: Path
    tokenizer_2: Path

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether a folder is of this family."""
        return config_of(root, "unet").get("addition_embed_type") == "text_time"

    @classmethod
    def find(cls, root: Path) -> "SdxlParts":
        """Locate every part.

        Raises:
            PrerequisiteError: parts are missing.
            SpecError: weights are a pickle, or the UNet wants other numbers than SDXL's base model.
        """
        weights, others = ("unet", "vae", "text_encoder", "text_encoder_2"), ("tokenizer", "tokenizer_2", "scheduler")
        found = cls(root=root, **locate(root, weights=weights, others=others))
        config = found.config
        wanted = 6 * config["addition_time_embed_dim"] + found._pooled
        given = config["projection_class_embeddings_input_dim"]
        if given != wanted:
            raise SpecError(
                f"{found.unet}: must take a pooled vector and six numbers, {wanted} wide (got {given}). "
                "Cure: a base model; refiners and edit models are not distilled here."
            )
        return found

    def load_network(self, device: str, *, dtype: torch.dtype = torch.float32) -> Network:
        unet = UNet2DConditionModel.from_pretrained(self.unet, torch_dtype=torch.float32, **LOCAL).to(device)
        return Network(unet, TextTimeAdapter(self._pooled, self.size_px), self.schedule, dtype=dtype)

    def load_embedder(self, device: str) -> Embedder:
        """Both towers' states side by side, then the second one's pooled vector; zeros for an empty caption where the
        pipeline's configuration says so, as its guidance does."""
        first = ClipTower(self.tokenizer, self.text_encoder, device)
        second = ClipTower(self.tokenizer_2, self.text_encoder_2, device)
        zeros_for_empty = self._zeros_for_empty

        def embed(captions: Sequence[str]) -> Tensor:
            hidden, pooled = second.read_both(captions)
            cond = pack(torch.cat([first.read(captions)[0], hidden], dim=-1), pooled)
            if zeros_for_empty:
                cond[torch.tensor([not caption for caption in captions], device=device)] = 0.0
            return cond

        return embed

    @property
    def _pooled(self) -> int:
        return int(json.loads((self.text_encoder_2 / "config.json").read_text(encoding="utf-8"))["projection_dim"])

    @property
    def _zeros_for_empty(self) -> bool:
        index = self.root / "model_index.json"
        if not index.is_file():
            return True
        return bool(json.loads(index.read_text(encoding="utf-8")).get("force_zeros_for_empty_prompt", True))
