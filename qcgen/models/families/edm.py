"""Pixel networks: a UNet2DModel without text, with classes or without, on any schedule; EDM's is the usual one.

Channels tell the layout: p^2 are grey pictures in blocks of p x p pixels, 3 p^2 RGB ones; p is 1 in other programs.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from qcgen.core.errors import SpecError
from qcgen.core.wording import several
from qcgen.models.codec import PixelCodec
from qcgen.models.commonparts import CommonParts
from qcgen.models.layout import LOCAL, config_of, locate
from qcgen.models.network import Network, Tap, unet_channels, unet_taps
from qcgen.models.protocol import Embedder
from qcgen.models.studentfolder import write_student_folder

_INDEX = "model_index.json"


@dataclass(frozen=True, slots=True)
class PixelAdapter:
    """How the UNet is called: a class is a one-hot condition `b 1 classes`; without classes it is ignored."""

    def call(self, core: Any, x: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        labels = None if core.class_embedding is None else cond[:, 0].argmax(dim=1)
        return cast(Tensor, core(x, time, labels).sample)

    def channels(self, core: nn.Module) -> list[int]:
        return unet_channels(core)

    def taps(self, core: nn.Module, shape: tuple[int, int]) -> list[Tap]:
        return unet_taps(core)


@dataclass(frozen=True, slots=True)
class PixelParts(CommonParts):
    """Follows `models.protocol.ModelParts`. The classes' names are `id2label` of model_index.json, as in diffusers'
    DiTPipeline; an empty name is the class of no class, which guidance needs."""

    name: ClassVar[str] = "edm"
    network: ClassVar[str] = "unet"
    unet: Path

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether a folder is of this family."""
        return config_of(root, "unet").get("_class_name") == "UNet2DModel"

    @classmethod
    def find(cls, root: Path) -> "PixelParts":
        """Locate every part.

        Raises:
            PrerequisiteError: parts are missing.
            SpecError: weights are a pickle, classes without names, or channels of no layout.
        """
        found = cls(root=root, **locate(root, weights=("unet",), others=("scheduler",)))
        config = found.config
        problems = []
        if config["in_channels"] != config["out_channels"] or _layout(config["in_channels"]) is None:
            problems.append(
                f"{found.unet}: must have as many channels out as in, p^2 (grey) or 3 p^2 (RGB) for blocks of p x p "
                f"pixels (got {config['in_channels']} and {config['out_channels']}). "
                "Cure: a network on pixels that predicts no variance."
            )
        count = config.get("num_class_embeds")
        if count is not None and len(found._classes) != count:
            problems.append(
                f"{root / _INDEX}: id2label must name all {count} classes (got {len(found._classes)}). "
                'Cure: {"id2label": {"0": "a photo of a red dress", ...}}, each as the captions spell it.'
            )
        if problems:
            raise SpecError(problems)
        return found

    @property
    def guidable(self) -> bool:
        return "" in self._classes

    @property
    def size_px(self) -> int:
        return self.latent_shape[1] * self.load_codec("cpu").patch

    def load_network(self, device: str, *, dtype: torch.dtype = torch.float32) -> Network:
        unet = UNet2DModel.from_pretrained(self.unet, torch_dtype=torch.float32, **LOCAL).to(device)
        return Network(unet, PixelAdapter(), self.schedule, dtype=dtype)

    def load_embedder(self, device: str) -> Embedder:
        """One-hot classes `n 1 classes`; zeros for a network without any.

        What it gives raises SpecError for captions that are no class; an empty one is let through, for networks that
        need no guidance.
        """
        classes, where = self._classes, self.root / _INDEX

        def embed(captions: Sequence[str]) -> Tensor:
            if not classes:
                return torch.zeros(len(captions), 1, 1, device=device)
            unknown = sorted({caption for caption in captions if caption and caption not in classes})
            if unknown:
                raise SpecError(
                    f"captions: must be classes of {where} (got {several(len(unknown), 'other')}, such as "
                    f"{unknown[0]!r}). "
                    "Cure: name them in id2label, or leave these pictures out."
                )
            hot = torch.zeros(len(captions), 1, len(classes), device=device)
            for row, caption in enumerate(captions):
                if caption in classes:
                    hot[row, 0, classes.index(caption)] = 1.0
            return hot

        return embed

    def load_codec(self, device: str) -> PixelCodec:
        layout = _layout(self.config["in_channels"])
        assert layout is not None, "find refuses other channels"
        return PixelCodec(*layout)

    def write_student(self, network: nn.Module, folder: Path, *, t_init: float) -> None:
        assert isinstance(network, Network)
        copied = {"scheduler": self.scheduler}
        write_student_folder({"unet": network.core}, copied, folder, t_init=t_init, size_px=self.size_px)
        if (self.root / _INDEX).is_file():
            shutil.copy2(self.root / _INDEX, folder / _INDEX)

    @property
    def _classes(self) -> list[str]:
        """Names in the order of their numbers; empty for a network without classes."""
        if self.config.get("num_class_embeds") is None or not (self.root / _INDEX).is_file():
            return []
        named = json.loads((self.root / _INDEX).read_text(encoding="utf-8")).get("id2label", {})
        return [str(named[key]) for key in sorted(named, key=int)]


def _layout(channels: int) -> tuple[Literal[1, 3], int] | None:
    """Colours and patch of a number of channels: 3 p^2 is never a square, so there is one answer at most."""
    choices: tuple[Literal[1, 3], ...] = (1, 3)
    for colours in choices:
        patch = math.isqrt(channels // colours)
        if patch > 0 and colours * patch * patch == channels:
            return colours, patch
    return None
