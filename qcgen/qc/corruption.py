"""What a corruption is, and the one way to apply it: the same picture and severity always give the same bytes."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

SEVERITIES = (1, 2, 3, 4, 5)
"""There is no severity 0: that is the clean picture."""


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A spoiled picture of the same size; `mask` is where a local artifact lies, None where the whole is spoiled."""

    image: UInt8[Tensor, "3 h w"]
    mask: Bool[Tensor, "h w"] | None = None


class Corruption(Protocol):
    """One file in `corruptions/`. Pure: all that is drawn comes from the generator that it is given.

    Attributes:
        unit: what the parameters are.
        parameters: one for each severity, mild to strong; a stronger one is farther from the clean picture.
        local: whether it spoils a part and returns its mask, which covers every changed pixel.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    parameters: ClassVar[tuple[float, float, float, float, float]]
    local: ClassVar[bool]

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        """The picture spoiled by one of `parameters`."""
        ...


def corrupt(corruption: Corruption, image: UInt8[Tensor, "3 h w"], *, key: str, severity: int) -> Corrupted:
    """Spoil one picture.

    Args:
        key: the picture's name; seeds the draws together with the corruption's name and the severity.
        severity: 1 to 5.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of {SEVERITIES}, got {severity}")
    generator = torch.Generator().manual_seed(seed_of(key, corruption.name, severity))
    return corruption.apply(image, float(corruption.parameters[severity - 1]), generator)


def seed_of(key: str, name: str, severity: int) -> int:
    """63 bits that differ between pictures, corruptions and severities, on every machine alike."""
    digest = hashlib.sha256(f"{key}\0{name}\0{severity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def to_codes(values: Float[Tensor, "3 h w"]) -> UInt8[Tensor, "3 h w"]:
    """Codes 0..255 of real-valued codes."""
    return values.round().clamp(0, 255).to(torch.uint8)


def draw(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included; `low` where that leaves nothing."""
    return int(torch.randint(low, max(high, low) + 1, (1,), generator=generator))


def pick_sign(generator: torch.Generator) -> int:
    return 1 if draw(generator, 0, 1) else -1
