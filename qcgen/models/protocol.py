"""What the steps need of a network. Pixels at the border are RGB in [0, 1] (float) or uint8, channels first."""

from collections.abc import Sequence
from typing import Protocol

from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.core.types import ModelRef


class Student(Protocol):
    """A one-step generator. `generate` and `decode` are deterministic in their inputs and need no gradient.

    Attributes:
        ref: name, folder and digest.
        size_px: side of the pictures.
        latent_shape: (channels, height, width) of one image's noise.
    """

    ref: ModelRef
    size_px: int
    latent_shape: tuple[int, int, int]

    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "n t d"]:
        """Condition of each prompt; call once per unique prompt."""
        ...

    def generate(self, noise: Float[Tensor, "b c h w"], cond: Float[Tensor, "b t d"]) -> Float[Tensor, "b c h w"]:
        """Latents x_0 from unit Gaussian noise, one network call."""
        ...

    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 hh ww"]:
        """Pixels in about [0, 1], unclamped; non-finite values are passed on for the caller to find."""
        ...


class ImageTextEncoder(Protocol):
    """A CLIP: unit-length embeddings of pictures and of texts in one space."""

    digest: str

    def encode_images(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]: ...

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]: ...


class Teacher(Protocol):
    """A multi-step diffusion model in (alpha, sigma, mu): x_t = alpha x_0 + sigma noise; `denoise` returns mu =
    E[x_0 | x_t]."""

    def denoise(
        self, x_t: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]: ...
