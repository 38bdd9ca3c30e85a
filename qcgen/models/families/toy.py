"""Toys. A weightless student that draws a coloured shape on white, and a teacher whose posterior mean is known.

The student is quick enough for runs of 100,000 pictures, and it can be told to go wrong: to give NaN for chosen seeds
or to run out of memory. The teacher is a Gaussian mixture of pictures: a whole distillation of it takes seconds.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import PIL.ImageColor
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from qcgen.core.errors import SpecError
from qcgen.core.types import Card, ModelRef
from qcgen.models.card import STUDENT_FILE
from qcgen.models.commonparts import CommonParts
from qcgen.models.layout import config_of, locate
from qcgen.models.network import Network, Tap
from qcgen.models.protocol import Codec, Embedder

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


class Mixture(nn.Module):
    """F of EDM's preconditioning for a mixture of Gaussians of one deviation, so that D is its exact posterior mean.

    Everything is a parameter: a copy is a student or a fake score that learns like any other.

    Args:
        means: the modes, pixels in about [-1, 1].
        masses: their shares; need not sum to 1.
        deviation: of each mode, in pixel units.
        sigma_data: as the scheduler has it.
    """

    def __init__(
        self,
        means: Float[Tensor, "k c h w"],
        masses: Float[Tensor, " k"],
        *,
        deviation: float,
        sigma_data: float = 0.5,
    ) -> None:
        super().__init__()
        self.means, self.log_masses = nn.Parameter(means.clone()), nn.Parameter(masses.log())
        self.log_deviation = nn.Parameter(torch.tensor(deviation).log())
        self.sigma_data = sigma_data
        # For the hooks that read feature maps.
        self.shares, self.mean = nn.Identity(), nn.Identity()

    def forward(self, scaled: Float[Tensor, "b c h w"], time: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        """From c_in x_t and ln(sigma) / 4. Source of c_in, c_skip and c_out: Karras et al. 2022, table 1."""
        sigma = (4 * time.float()).exp()[:, None]
        total = sigma.square() + self.sigma_data**2
        x = scaled.flatten(1).float() * total.sqrt()
        means, variance = self.means.flatten(1), (2 * self.log_deviation).exp()
        apart = torch.cdist(x, means).square()
        share = self.shares((self.log_masses - apart / (2 * (variance + sigma.square()))).softmax(1)[..., None, None])
        nearest = share[..., 0, 0] @ means
        gain = variance / (variance + sigma.square())
        mean = self.mean((nearest + gain * (x - nearest)).reshape(scaled.shape)).flatten(1)
        skip = self.sigma_data**2 / total
        made = (mean - skip * x) * total.sqrt() / (sigma * self.sigma_data)
        return made.reshape(scaled.shape)

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        count, *shape = self.means.shape
        config = {"_class_name": "Mixture", "modes": count, "shape": shape, "sigma_data": self.sigma_data}
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        save_file(
            {name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / "model.safetensors"
        )


@dataclass(frozen=True, slots=True)
class MixtureAdapter:
    """Feature maps: the modes' shares at x_t, and the posterior mean."""

    def call(self, core: nn.Module, x: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        return cast(Tensor, core(x, time))

    def channels(self, core: Any) -> list[int]:
        return [core.means.shape[0], core.means.shape[1]]

    def taps(self, core: Any, shape: tuple[int, int]) -> list[Tap]:
        def same(output: Tensor) -> Tensor:
            return output

        return [(core.shares, same), (core.mean, same)]


@dataclass(frozen=True, slots=True)
class MixtureParts(CommonParts):
    """A folder with `mixture` and an EDM `scheduler`. Follows `models.protocol.ModelParts`; captions mean nothing."""

    name: ClassVar[str] = "toy"
    network: ClassVar[str] = "mixture"
    mixture: Path

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether a folder is of this family."""
        return config_of(root, "mixture").get("_class_name") == "Mixture"

    @classmethod
    def find(cls, root: Path) -> "MixtureParts":
        """Locate both parts.

        Raises:
            PrerequisiteError: one is missing.
            SpecError: weights are a pickle, or the scheduler is not EDM's.
        """
        found = cls(root=root, **locate(root, weights=("mixture",), others=("scheduler",)))
        if type(found.schedule).__name__ != "Exploding":
            raise SpecError(f"{found.scheduler}: must be an EDM scheduler for a mixture. Cure: EDMEulerScheduler.")
        return found

    @property
    def guidable(self) -> bool:
        return False

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        channels, height, width = self.config["shape"]
        return channels, height, width

    def load_network(self, device: str, *, dtype: torch.dtype = torch.float32) -> Network:
        config = self.config
        empty = torch.zeros(config["modes"], *config["shape"]), torch.ones(config["modes"])
        core = Mixture(*empty, deviation=1.0, sigma_data=config["sigma_data"])
        core.load_state_dict(load_file(self.mixture / "model.safetensors"))
        return Network(core.to(device), MixtureAdapter(), self.schedule, dtype=dtype)

    def load_embedder(self, device: str) -> Embedder:
        return lambda captions: torch.zeros(len(captions), 1, 1, device=device)

    def load_codec(self, device: str) -> Codec:
        from qcgen.models.codec import PixelCodec  # brings diffusers

        return PixelCodec()

    def write_student(self, network: nn.Module, folder: Path, *, t_init: float) -> None:
        assert isinstance(network, Network)
        core = network.core
        assert isinstance(core, Mixture)
        core.save(folder / "mixture")
        shutil.copytree(self.scheduler, folder / "scheduler", dirs_exist_ok=True)
        facts = {"t_init": t_init, "steps": 1, "guidance_scale": 0, "size_px": self.size_px}
        (folder / STUDENT_FILE).write_text(json.dumps(facts, indent=1) + "\n")
