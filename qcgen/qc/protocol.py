"""What a detector and a set metric are, and what they are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.models.classifier import Classified
from qcgen.models.protocol import ImageTextEncoder
from qcgen.qc.classes import classified
from qcgen.qc.colour import to_lab
from qcgen.qc.foreground import Clusters, find_clusters
from qcgen.qc.planes import Planes
from qcgen.qc.settings import Settings


@dataclass(frozen=True, slots=True)
class TileLines:
    """Where a decoder that works in tiles put two of them side by side: first rows and columns, those at 0 left out."""

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    @classmethod
    def every(cls, tile_px: int, height: int, width: int) -> "TileLines":
        """Tiles at a regular distance."""
        return cls(tuple(range(tile_px, height, tile_px)), tuple(range(tile_px, width, tile_px)))


@dataclass(frozen=True)
class Batch:
    """Pictures of one size and what was asked for, with derived features computed once and shared by all detectors.

    Attributes:
        images: the pixels that are written to the file.
        prompts: one a picture.
        fields: the row of the items table, one a picture (`product`, `colour` where the job has them).
        encoder: the CLIP of the job's profile, or None.
        vocabulary: for each field name, every value the catalogue uses (the classes of zero-shot tests).
        background: the ground that the profile wants behind the product, RGB in codes.
        tile_lines: None where the pictures were decoded whole, or nobody knows.
        accepted: the encoder's unit vectors of pictures that people accepted, or None.
        settings: what the profile asks beyond limits.
        accepted_ids: of these pictures, where they are known.
    """

    images: UInt8[Tensor, "b 3 h w"]
    prompts: Sequence[str]
    fields: Sequence[Mapping[str, str]]
    encoder: ImageTextEncoder | None = None
    vocabulary: Mapping[str, Sequence[str]] | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    tile_lines: TileLines | None = None
    accepted: Float[Tensor, "n d"] | None = None
    settings: Settings = field(default_factory=Settings)
    accepted_ids: tuple[str, ...] = ()

    def part(self, start: int, stop: int) -> "Batch":
        """Some of the pictures, with nothing derived yet."""
        chosen = slice(start, stop)
        return replace(
            self, images=self.images[chosen], prompts=self.prompts[chosen], fields=self.fields[chosen], encoder=None
        )

    @cached_property
    def rgb(self) -> Float[Tensor, "b 3 h w"]:
        """RGB in [0, 1]."""
        return self.images.float() / 255

    @cached_property
    def wanted_ground(self) -> Float[Tensor, "3"]:
        """CIELAB of `background`."""
        return to_lab(torch.tensor(self.background, dtype=torch.float32, device=self.images.device) / 255)

    @cached_property
    def planes(self) -> Planes:
        """Everything that is derived from the pixels alone."""
        return Planes(self.images)

    @cached_property
    def luma(self) -> Float[Tensor, "b h w"]:
        """Rec. 601 luma in codes, 0..255."""
        return self.planes.luma

    @cached_property
    def clusters(self) -> Clusters:
        """The garment and its colour."""
        return find_clusters(self.planes)

    @cached_property
    def clip(self) -> Float[Tensor, "b d"] | None:
        """Unit embeddings of the pictures, None without an encoder."""
        return None if self.encoder is None else self.encoder.encode_images(self.images)

    @cached_property
    def classified(self) -> Mapping[str, Classified]:
        """By field, what the profile's classifier says; nothing without one."""
        ref = self.settings.classifier
        return {} if ref is None else classified(ref, self.images, self.fields)


@dataclass(frozen=True, slots=True)
class Scores:
    """One finite number per picture, or the reason why there is none.

    Attributes:
        values: float64 on the CPU; 0 where `reasons` is set.
        reasons: None where scored; else a reason code such as `too_small`, `no_foreground`, `not_applicable`.
        evidence: small facts behind each value for the reviewer, one mapping a picture, or nothing at all.
    """

    values: Float[Tensor, " b"]
    reasons: tuple[str | None, ...]
    evidence: tuple[Mapping[str, str], ...] = ()


class Detector(Protocol):
    """One file in `detectors/`. Pure and deterministic; holds no threshold; never raises on odd pictures (1x1,
    grey). One with `whole_batch = True` asks the encoder or a network of its own and is given the batch as it came;
    others are given parts, several at the same time.

    Four more class attributes may be left out. `slow = True`: `qcgen bench qc` shows it some of the clean pictures and
    its own corruptions alone, and leaves it out of the layer. `learned = True`: it asks a network of its own, and its
    time is not counted with the pixel detectors'. `own_limit`: a value beyond which the fault is there, however usual;
    `qcgen bench qc` takes it instead of a limit from clean pictures. `shown_only`: why its number must not judge; a
    profile that gives it an importance or a ceiling is refused with this reason.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    unit: ClassVar[str]
    range: ClassVar[tuple[float, float]]
    higher_is_better: ClassVar[bool]

    def score(self, batch: Batch) -> Scores: ...


Columns = Mapping[str, Tensor]
"""A set of pictures as tensors by name, one row a picture (`describe.describe` says which there are)."""

Resampling = Literal["bootstrap", "jackknife", "blocks"]
"""How a number's standard error is found; see `resample`."""


@dataclass(frozen=True, slots=True)
class Number:
    """What a metric's number is: its unit (`share`, `x 100`, ...) and where better lies (`real`: as the real set's)."""

    unit: str
    better: Literal["higher", "lower", "real"]


class SetMetric(Protocol):
    """One file in `metrics/`: numbers of a whole set. Follows torchmetrics, whose image metrics fit as they are.

    Attributes:
        reads: columns that `update` is given, in this order.
        real_rows: which real pictures `update(real=True)` is given: all, or those that no network was trained on.
        resampling: the scheme that gives its numbers a valid standard error.
        numbers: what `compute` returns, by name.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    real_rows: ClassVar[Literal["all", "held_out"]]
    resampling: ClassVar[Resampling]
    numbers: ClassVar[Mapping[str, Number]]

    def least(self, features: int) -> int:
        """Fewest rows for which the numbers and their errors mean anything, with embeddings of `features` numbers."""
        ...

    def update(self, *columns: Tensor, real: bool) -> None:
        """Take rows of generated or of real pictures."""
        ...

    def compute(self) -> Mapping[str, float]:
        """The numbers of the generated rows, all finite; a number that these rows do not have is left out."""
        ...

    def reference(self) -> Mapping[str, float]:
        """The same numbers of the real rows alone, where that means something."""
        ...

    def reset(self) -> None:
        """Forget the generated rows and keep the real ones."""
        ...
