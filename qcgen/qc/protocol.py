"""What a detector is and what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.models.protocol import ImageTextEncoder


@dataclass(frozen=True)
class Batch:
    """Pictures of one size and what was asked for, with derived features computed once and shared by all detectors.

    Attributes:
        images: the pixels that are written to the file.
        prompts: one a picture.
        fields: the row of the items table, one a picture (`product`, `colour` where the job has them).
        encoder: the CLIP of the job's profile, or None.
        vocabulary: for each field name, every value the catalogue uses (the classes of zero-shot tests).
    """

    images: UInt8[Tensor, "b 3 h w"]
    prompts: Sequence[str]
    fields: Sequence[Mapping[str, str]]
    encoder: ImageTextEncoder | None = None
    vocabulary: Mapping[str, Sequence[str]] | None = None

    @cached_property
    def rgb(self) -> Float[Tensor, "b 3 h w"]:
        """RGB in [0, 1]."""
        return self.images.float() / 255

    @cached_property
    def luma(self) -> Float[Tensor, "b h w"]:
        """Rec. 601 luma in codes, 0..255."""
        weights = torch.tensor([0.299, 0.587, 0.114], device=self.images.device)
        return torch.einsum("bchw,c->bhw", self.images.float(), weights)

    @cached_property
    def clip(self) -> Float[Tensor, "b d"] | None:
        """Unit embeddings of the pictures, None without an encoder."""
        return None if self.encoder is None else self.encoder.encode_images(self.images)


@dataclass(frozen=True, slots=True)
class Scores:
    """One finite number per picture, or the reason why there is none.

    Attributes:
        values: float64 on the CPU; 0 where `reasons` is set.
        reasons: None where scored; else a reason code such as `too_small`, `no_foreground`, `not_applicable`.
    """

    values: Float[Tensor, " b"]
    reasons: tuple[str | None, ...]


class Detector(Protocol):
    """One file in `detectors/`. Pure and deterministic; holds no threshold; never raises on odd pictures (1x1,
    grey)."""

    name: ClassVar[str]
    version: ClassVar[int]
    unit: ClassVar[str]
    range: ClassVar[tuple[float, float]]
    higher_is_better: ClassVar[bool]

    def score(self, batch: Batch) -> Scores: ...
