"""CLIP text towers as Stable Diffusion reads them: the last hidden states (1.x), or the last but one and the projected
pooled vector (SDXL, SD3)."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from qcgen.core.errors import SpecError

_KINDS = {kind.__name__: kind for kind in (CLIPTextModel, CLIPTextModelWithProjection)}


class ClipTower:
    """A tokenizer and a frozen tower, float32.

    Raises:
        SpecError: the tower is no CLIP text model.
    """

    def __init__(self, tokenizer_dir: Path, encoder_dir: Path, device: str) -> None:
        config = json.loads((encoder_dir / "config.json").read_text(encoding="utf-8"))
        named = (config.get("architectures") or ["?"])[0]
        if named not in _KINDS:
            raise SpecError(
                f"{encoder_dir}: must be one of {', '.join(_KINDS)} (got {named}). Cure: the teacher's own tower."
            )
        self.tokenizer = CLIPTokenizer.from_pretrained(tokenizer_dir, local_files_only=True)
        tower = _KINDS[named].from_pretrained(
            encoder_dir, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        self.tower, self.device = tower.eval().requires_grad_(False).to(device), device

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Float[Tensor, "n k d"]:
        """The states after the last layer."""
        return self.tower(self._tokens(captions)).last_hidden_state

    @torch.no_grad()
    def read(self, captions: Sequence[str]) -> tuple[Float[Tensor, "n k d"], Float[Tensor, "n e"] | None]:
        """The states before the last layer, and the pooled vector where the tower projects one."""
        read = self.tower(self._tokens(captions), output_hidden_states=True)
        return read.hidden_states[-2], getattr(read, "text_embeds", None)

    def read_both(self, captions: Sequence[str]) -> tuple[Float[Tensor, "n k d"], Float[Tensor, "n e"]]:
        """Raises SpecError where the tower projects no pooled vector."""
        hidden, pooled = self.read(captions)
        if pooled is None:
            raise SpecError(
                f"text tower: must be a CLIPTextModelWithProjection (got {type(self.tower).__name__}). "
                "Cure: the teacher's own tower."
            )
        return hidden, pooled

    def _tokens(self, captions: Sequence[str]) -> Int[Tensor, "n k"]:
        tokens = self.tokenizer(
            list(captions),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return tokens.input_ids.to(self.device)
