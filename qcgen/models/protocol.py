"""What the steps need of a network. Pixels at the border are RGB in [0, 1] (float) or uint8, channels first."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

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


class Noising(Protocol):
    """How x_t comes from x_0: x_t = alpha(t) x_0 + sigma(t) noise, and what a network's output says of x_0.

    Attributes:
        prediction: what the network puts out: `epsilon`, `v_prediction`, `sample` or `flow`.
    """

    @property
    def prediction(self) -> str: ...

    def coefficients(self, t: Shaped[Tensor, " b"], like: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) at times `t`, shaped to multiply `like`."""
        ...

    def times(self, quantile: Float[Tensor, " b"], *, low: float, high: float) -> Shaped[Tensor, " b"]:
        """Times at quantiles in [0, 1) of the sampling law, which covers the shares [low, high] of the noise levels."""
        ...

    def time_for(self, noise_to_signal: float) -> float:
        """The time whose sigma / alpha is nearest; infinity means the end of the schedule."""
        ...

    def network_input(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """What the network receives for x_t at times `t`: the scaled picture and its own time."""
        ...

    def x_0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """mu = E[x_0 | x_t] from the network's output."""
        ...

    def target(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should put out for x_t = alpha x_0 + sigma noise."""
        ...

    def start(self, noise: Tensor, t: Tensor) -> Tensor:
        """What a one-step student that lives at `t` receives for unit noise."""
        ...


class Teacher(Protocol):
    """A diffusion network in (alpha, sigma, mu): teacher, fake score and student are three of the same kind.

    Attributes:
        noising: its noise levels and parametrisation.
        channels: channels of each feature map.
    """

    @property
    def noising(self) -> Noising: ...

    @property
    def channels(self) -> list[int]: ...

    def predict(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        """The network's own output, float32."""
        ...

    def denoise(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        """mu = E[x_0 | x_t]."""
        ...

    def features(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> list[Tensor]:
        """Feature maps for a discriminator; runs no more of the network than they need."""
        ...

    def denoise_with_features(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> tuple[Float[Tensor, "b c h w"], list[Tensor]]:
        """mu and the feature maps from one call."""
        ...


class Codec(Protocol):
    """Pictures to what a network works on (latents of about unit deviation, or pixels) and back. Needs no gradient."""

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hh ww"]:
        """From pixels in [-1, 1]."""
        ...

    def decode(self, latents: Float[Tensor, "b c hh ww"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels in about [0, 1], unclamped."""
        ...


Embedder = Callable[[Sequence[str]], Tensor]
"""The condition `n k d` of each caption, float32; holds the text towers as long as it lives."""


class ModelParts(Protocol):
    """A model's folder as its family reads it; nothing is loaded before it is asked for.

    Attributes:
        name: the family.
        root: the folder.
        size_px: side of the pictures.
        guidable: whether an empty caption means something to it, so that guidance does.
    """

    name: ClassVar[str]
    root: Path

    @property
    def size_px(self) -> int: ...

    @property
    def guidable(self) -> bool: ...

    @property
    def schedule(self) -> Noising: ...

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the network works on."""
        ...

    def load_network(self, device: str, *, dtype: torch.dtype = torch.float32) -> nn.Module:
        """Follows `Teacher`; parameters are float32, `dtype` is what it computes in."""
        ...

    def load_embedder(self, device: str) -> Embedder: ...

    def load_codec(self, device: str) -> Codec: ...

    def write_student(self, network: nn.Module, folder: Path, *, t_init: float) -> None:
        """A student that started as this folder's network, as a complete folder of the same family."""
        ...
