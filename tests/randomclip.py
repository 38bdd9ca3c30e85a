"""An encoder for tests that need one but no knowledge in it."""

import open_clip
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F


class RandomClip:
    """A real open_clip model, tiny and with random weights: right shapes and invariances, no knowledge."""

    digest = "random"

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self._model = open_clip.CLIP(
                embed_dim=32,
                vision_cfg={"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
                text_cfg={"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
            ).eval()
        self._tokenizer = open_clip.SimpleTokenizer(context_length=16)

    def encode_images(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        small = F.interpolate(images.float() / 255, size=(32, 32), mode="bilinear", antialias=True)
        with torch.inference_mode():
            return self._model.encode_image(small, normalize=True)

    def encode_texts(self, texts: list[str]) -> Float[Tensor, "n d"]:
        with torch.inference_mode():
            return self._model.encode_text(self._tokenizer(texts), normalize=True)
