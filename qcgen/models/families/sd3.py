"""The SD3 shape: a flow-matching transformer on latents, read by two CLIP towers.

The third tower (T5) is left out. As in a stock pipeline without it, zeros stand where its states would be, and the
transformer attends to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor, nn

from qcgen.core.errors import SpecError
from qcgen.models.latentparts import LatentParts
from qcgen.models.layout import LOCAL, config_of, locate
from qcgen.models.network import Network, Tap, pack, unpack
from qcgen.models.noising import Flow
from qcgen.models.protocol import Embedder
from qcgen.models.towers import ClipTower

_DEPTHS = (0.25, 0.5, 0.75)
_T5_ROWS = 256
"""`max_sequence_length` of the pipeline; the zeros are added at each call, because kept they would be most of a
condition."""


@dataclass(frozen=True, slots=True)
class JointAdapter:
    """How the transformer is called; feature maps are the picture's tokens after a quarter, half and three quarters of
    the blocks.

    Attributes:
        pooled: size of the pooled vector.
    """

    pooled: int

    def call(self, core: nn.Module, x: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        hidden, pooled = unpack(cond, self.pooled)
        hidden = nn.functional.pad(hidden, (0, 0, 0, _T5_ROWS))
        made = core(hidden_states=x, encoder_hidden_states=hidden, pooled_projections=pooled, timestep=time)
        return cast(Tensor, made.sample)

    def channels(self, core: Any) -> list[int]:
        return [core.inner_dim] * len(_places(core))

    def taps(self, core: Any, shape: tuple[int, int]) -> list[Tap]:
        height, width = (side // core.config.patch_size for side in shape)

        def picture(output: tuple[Tensor | None, Tensor]) -> Tensor:
            return output[1].transpose(1, 2).unflatten(2, (height, width))

        return [(core.transformer_blocks[place], picture) for place in _places(core)]


def _places(core: Any) -> list[int]:
    count = len(core.transformer_blocks)
    return sorted({min(int(depth * count), count - 1) for depth in _DEPTHS})


@dataclass(frozen=True, slots=True)
class Sd3Parts(LatentParts):
    """Follows `models.protocol.ModelParts`."""

    name: ClassVar[str] = "sd3"
    network: ClassVar[str] = "transformer"
    transformer: Path
    text_encoder: Path
    text_encoder_2: Path
    tokenizer: Path
    tokenizer_2: Path

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether a folder is of this family."""
        return config_of(root, "transformer").get("_class_name") == "SD3Transformer2DModel"

    @classmethod
    def find(cls, root: Path) -> "Sd3Parts":
        """Locate every part.

        Raises:
            PrerequisiteError: parts are missing.
            SpecError: weights are a pickle, or the scheduler is no flow-matching one.
        """
        weights = ("transformer", "vae", "text_encoder", "text_encoder_2")
        found = cls(root=root, **locate(root, weights=weights, others=("tokenizer", "tokenizer_2", "scheduler")))
        if not isinstance(found.schedule, Flow):
            raise SpecError(
                f"{found.scheduler}: must be a flow-matching scheduler (got {type(found.schedule).__name__.lower()}). "
                "Cure: the teacher's own FlowMatchEulerDiscreteScheduler."
            )
        return found

    def load_network(self, device: str, *, dtype: torch.dtype = torch.float32) -> Network:
        core = SD3Transformer2DModel.from_pretrained(self.transformer, torch_dtype=torch.float32, **LOCAL).to(device)
        return Network(core, JointAdapter(self.config["pooled_projection_dim"]), self.schedule, dtype=dtype)

    def load_embedder(self, device: str) -> Embedder:
        """Both towers' states side by side, padded with zeros to the width of T5's, then both pooled vectors."""
        first = ClipTower(self.tokenizer, self.text_encoder, device)
        second = ClipTower(self.tokenizer_2, self.text_encoder_2, device)
        width = self.config["joint_attention_dim"]

        def embed(captions: Sequence[str]) -> Tensor:
            read = [tower.read_both(captions) for tower in (first, second)]
            hidden, pooled = (torch.cat(parts, dim=-1) for parts in zip(*read, strict=True))
            return pack(nn.functional.pad(hidden, (0, width - hidden.shape[-1])), pooled)

        return embed
