"""A weightless student that draws a coloured shape on white: fixed linear maps and one convolution.

It is quick enough for runs of 100,000 pictures, and it can be told to go wrong: to give NaN for chosen seeds or to run
out of memory.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import PIL.ImageColor
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from qcgen.core.errors import SpecError
from qcgen.core.types import Card, ModelRef

Fault = Literal["always", "half"]
"""NaN whenever the seed comes, or only while the student computes in half precision."""

_CHANNELS = 4
_STRIDE = 8
_CODES = 8
_LARGEST = 1024
_VERSION = 1


class ToyStudent:
    """Implements `models.protocol.Student`.

    Args:
        ref: as `reference` gives it; the side is in the name.
        dtype: what it computes in.
        faults: seeds whose pictures hold NaN, and when.
        memory: largest batch that fits; a larger one raises torch's out-of-memory error.
    """

    def __init__(
        self,
        ref: ModelRef | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
        faults: Mapping[int, Fault] | None = None,
        memory: int | None = None,
    ) -> None:
        self.ref = ref or self.reference("toy:64")
        self.size_px = size_px = _side(self.ref.name)
        self.latent_shape = (_CHANNELS, size_px // _STRIDE, size_px // _STRIDE)
        self.dtype = dtype
        self.device = torch.device(device)
        self.memory = memory
        self.calls: list[int] = []
        self._shape = _ellipse(size_px).to(self.device, dtype)
        weights = torch.randn(3, _CHANNELS, 3, 3, generator=torch.Generator().manual_seed(1))
        self._texture = (weights / weights.flatten(1).norm(dim=1)[:, None, None, None]).to(self.device, dtype)
        self._faulty = [
            self._noise(seed) for seed, when in (faults or {}).items() if when == "always" or dtype != torch.float32
        ]

    @staticmethod
    def reference(name: str) -> ModelRef:
        """The pinned model of a name `toy:SIDE`.

        Raises:
            SpecError: the side is not a multiple of 8 in 8..1024.
        """
        digest = hashlib.sha256(f"toy {_VERSION} {_side(name)}".encode()).hexdigest()
        return ModelRef(name, Path(), digest, _card(name))

    def embed(self, prompts: Sequence[str]) -> Float[Tensor, "n 1 d"]:
        rows = [[*_colour(prompt), *_codes(prompt)] for prompt in prompts]
        return torch.tensor(rows, device=self.device, dtype=self.dtype).reshape(len(rows), 1, 3 + _CODES)

    def generate(self, noise: Float[Tensor, "b c h w"], cond: Float[Tensor, "b 1 d"]) -> Float[Tensor, "b c2 h w"]:
        """Latents: the texture's four channels, then three that carry the colour."""
        self._check_memory(len(noise))
        self.calls.append(len(noise))
        texture = 0.5 * noise + cond[:, 0, 3 : 3 + _CHANNELS, None, None]
        for fault in self._faulty:
            hit = (noise == fault).flatten(1).all(dim=1)
            texture = torch.where(hit[:, None, None, None], torch.nan, texture)
        colour = cond[:, 0, :3, None, None].expand(-1, -1, *noise.shape[2:])
        return torch.cat([texture, colour], dim=1)

    def decode(self, latents: Float[Tensor, "b c2 h w"]) -> Float[Tensor, "b 3 hh ww"]:
        self._check_memory(len(latents))
        large = functional.interpolate(latents[:, :_CHANNELS], scale_factor=_STRIDE, mode="nearest")
        texture = functional.conv2d(large, self._texture, padding=1)
        colour = latents[:, _CHANNELS:, :1, :1]
        return self._shape * (colour + 0.04 * texture) + (1 - self._shape)

    def _noise(self, seed: int) -> Tensor:
        # The noise that the engine promises for a seed; written out here because models may not import the steps.
        noise = torch.randn(self.latent_shape, generator=torch.Generator("cpu").manual_seed(seed))
        return noise.to(self.device, self.dtype)

    def _check_memory(self, count: int) -> None:
        if self.memory is not None and count > self.memory:
            raise torch.OutOfMemoryError(f"the toy has room for {self.memory} pictures, got {count}")


def _colour(prompt: str) -> tuple[float, float, float]:
    """The first colour word that CSS knows, else a colour from the prompt's hash; in [0.05, 0.95]."""
    for word in prompt.lower().split():
        if word in PIL.ImageColor.colormap:
            red, green, blue = PIL.ImageColor.getrgb(word)[:3]
            break
    else:
        red, green, blue = hashlib.blake2b(prompt.encode(), digest_size=3).digest()
    return 0.05 + 0.9 * red / 255, 0.05 + 0.9 * green / 255, 0.05 + 0.9 * blue / 255


def _codes(prompt: str) -> list[float]:
    return [byte / 127.5 - 1 for byte in hashlib.blake2b(prompt.encode(), digest_size=_CODES).digest()]


def _ellipse(size_px: int) -> Float[Tensor, "h w"]:
    """1 inside, 0 outside, with an edge about one pixel wide."""
    axis = (torch.arange(size_px) + 0.5) / size_px - 0.5
    radius = ((axis[:, None] / 0.42) ** 2 + (axis[None, :] / 0.3) ** 2).sqrt()
    return ((1 - radius) * size_px * 0.3 + 0.5).clamp(0, 1)


def _side(name: str) -> int:
    side = name.removeprefix("toy:")
    if not (name.startswith("toy:") and side.isdecimal() and 0 < int(side) <= _LARGEST and int(side) % _STRIDE == 0):
        rule = f"must be toy:SIDE, a multiple of {_STRIDE} up to {_LARGEST}"
        raise SpecError(f"model: {rule} (got {name!r}). Nearest: toy:64.")
    return int(side)


def _card(name: str) -> Card:
    notes = {"what": "weightless toy for tests and benchmarks"}
    return Card(name, "student", "Apache-2.0", (), True, {}, notes)
