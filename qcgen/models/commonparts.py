"""What the families' parts have in common: numbers read from the network's own configuration, and the usual defaults.

A family derives its frozen dataclass from `CommonParts` (pixels) or `latentparts.LatentParts`, and overrides what
differs. Imports nothing heavy: the weightless toy stands on it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qcgen.models.protocol import Noising


@dataclass(frozen=True, slots=True)
class CommonParts:
    """Properties of `models.protocol.ModelParts`.

    Attributes:
        network: name of the folder that holds the network; also the field that says where it is.
        root: the model's folder.
        scheduler: the scheduler's.
    """

    network: ClassVar[str]
    root: Path
    scheduler: Path

    @property
    def config(self) -> dict[str, Any]:
        """The network's config.json."""
        path: Path = getattr(self, self.network)
        config: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
        return config

    @property
    def schedule(self) -> Noising:
        from qcgen.models.noising import read_noising  # brings diffusers, which the toy student does without

        return read_noising(self.scheduler)

    @property
    def guidable(self) -> bool:
        return True

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        config = self.config
        return config["in_channels"], config["sample_size"], config["sample_size"]

    @property
    def size_px(self) -> int:
        return self.latent_shape[1]
