"""A local open_clip model as an `ImageTextEncoder`: tensors in, unit embeddings out."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import open_clip
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.errors import PrerequisiteError
from qcgen.models.card import digest


class OpenClipEncoder:
    """Pictures are resized on the device (bicubic, antialiased, squashed to a square), which matches open_clip's
    own transform."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        weights, config = folder / "open_clip_model.safetensors", folder / "open_clip_config.json"
        missing = [path.name for path in (weights, config) if not path.is_file()]
        if missing:
            raise PrerequisiteError(
                f"{folder}: lacks {', '.join(missing)}. Cure: give an open_clip folder with safetensors weights."
            )
        preprocess = json.loads(config.read_text())["preprocess_cfg"]
        model = open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False, device=device)
        self.model = model.float().eval().requires_grad_(False)
        bpe = folder / "bpe.txt.gz"
        options = {"bpe_path": str(bpe)} if bpe.is_file() else {}
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", **options)
        side = self.model.visual.image_size
        self.side = side[0] if isinstance(side, tuple) else int(side)
        self.mean = torch.tensor(preprocess["mean"], device=device)[:, None, None]
        self.std = torch.tensor(preprocess["std"], device=device)[:, None, None]
        self.device = device
        self.digest = digest(folder)
        self._text = lru_cache(maxsize=65536)(self._encode_text)

    @torch.no_grad()
    def encode_images(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        small = F.interpolate(
            images.to(self.device).float(), size=(self.side, self.side), mode="bicubic", antialias=True
        )
        pixels = small.round().clamp(0, 255) / 255
        return self.model.encode_image((pixels - self.mean) / self.std, normalize=True)

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        return torch.stack([self._text(text) for text in texts])

    @torch.no_grad()
    def _encode_text(self, text: str) -> Tensor:
        return self.model.encode_text(self.tokenizer([text]).to(self.device), normalize=True)[0]
