"""What a distillation consumes, and the random draws of each optimiser step."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar, cast

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from qcgen.core.distillspec import DistillSpec
from qcgen.models.noising import log_snr
from qcgen.models.protocol import Noising

B = TypeVar("B", bound="CriticBatch | StudentBatch")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Noise, the x_0 that the guided teacher makes of it, and the row of its condition."""

    noise: Float[Tensor, "n c h w"]
    x_0: Float[Tensor, "n c h w"]
    caption: Int[Tensor, " n"]


@dataclass(frozen=True, slots=True)
class Material:
    """Real latents with their captions, and what the teacher made where the job asks for it.

    Attributes:
        latents: real latents, `rounds rows c h w`, scaled to unit deviation; a round is one augmentation.
        weights: relative frequency of each row, as the teacher saw it.
        caption_of: index into `cond` of each row.
        cond: text conditions; row 0 is the empty caption.
        pairs: the teacher's own samples.
    """

    latents: Float[Tensor, "rounds rows c h w"]
    weights: Float[Tensor, " rows"]
    caption_of: Int[Tensor, " rows"]
    cond: Float[Tensor, "captions k d"]
    pairs: Pairs | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent."""
        _, _, channels, height, width = self.latents.shape
        return channels, height, width

    def draw_captions(self, n: int, generator: torch.Generator) -> Int[Tensor, " n"]:
        """Rows of `cond`, as often as the data has them."""
        return self.caption_of[self.draw_rows(n, generator)]

    def draw_rows(self, n: int, generator: torch.Generator) -> Int[Tensor, " n"]:
        """Rows of the data, as often as the teacher saw them."""
        return torch.multinomial(self.weights, n, replacement=True, generator=generator)

    def draw(
        self, n: int, generator: torch.Generator, *, source: Literal["real", "teacher", "both"]
    ) -> tuple[Float[Tensor, "n c h w"], Int[Tensor, " n"]]:
        """`n` clean latents and their rows of `cond`; `both` takes each from either source with equal chance."""
        if source == "teacher":
            return self._draw_made(n, generator)
        rows = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        rounds = torch.randint(len(self.latents), (n,), generator=generator)
        real, caption = self.latents[rounds, rows].float(), self.caption_of[rows]
        if source == "real":
            return real, caption
        made, made_caption = self._draw_made(n, generator)
        take = torch.rand(n, generator=generator) < 0.5
        return torch.where(take[:, None, None, None], real, made), torch.where(take, caption, made_caption)

    def _draw_made(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        assert self.pairs is not None, "the job's checks ask for pairs wherever data is not real"
        chosen = torch.randint(len(self.pairs.x_0), (n,), generator=generator)
        return self.pairs.x_0[chosen].float(), self.pairs.caption[chosen]


@dataclass(frozen=True, slots=True)
class Noised:
    """Times, their places in [0, 1) for the ratio's bins, and the noise that goes with them."""

    t: Shaped[Tensor, " b"]
    level: Float[Tensor, " b"]
    noise: Float[Tensor, "b c h w"]

    def apply(self, noising: Noising, x_0: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x_t = alpha x_0 + sigma noise."""
        alpha, sigma = noising.coefficients(self.t, x_0)
        return alpha * x_0 + sigma * self.noise


@dataclass(frozen=True, slots=True)
class CriticBatch:
    """One step of fake score and discriminator: student noise, captions, data, a noise level for each side, and the
    perturbation of the gradient penalty (unit deviation)."""

    noise: Float[Tensor, "b c h w"]
    cond: Float[Tensor, "b k d"]
    real: Float[Tensor, "b c h w"]
    at_fake: Noised
    at_real: Noised
    shake: Float[Tensor, "b c h w"]


@dataclass(frozen=True, slots=True)
class StudentBatch:
    """One step of the student: noise, captions, a noise level for the matching and one for the adversarial term."""

    noise: Float[Tensor, "b c h w"]
    cond: Float[Tensor, "b k d"]
    at_match: Noised
    at_gan: Noised


class Sampler:
    """Draws whole optimiser steps from one CPU generator: its state is the data cursor, and neither the device nor
    gradient accumulation changes what is drawn."""

    def __init__(
        self, spec: DistillSpec, material: Material, noising: Noising, generator: torch.Generator, *, device: str
    ) -> None:
        self.spec, self.material, self.noising = spec, material, noising
        self.generator, self.device = generator, device
        ends = torch.tensor([0.0, 1.0 - 1e-6])
        self._snr_range = log_snr(noising, noising.times(ends, low=spec.time.low, high=spec.time.high))

    def critic(self, n: int) -> CriticBatch:
        real, caption = self.material.draw(n, self.generator, source=self.spec.gan.data)
        return CriticBatch(
            noise=self._normal(n),
            cond=self._cond(caption),
            real=real.to(self.device),
            at_fake=self._noised(n),
            at_real=self._noised(n),
            shake=self._normal(n),
        )

    def student(self, n: int) -> StudentBatch:
        caption = self.material.draw_captions(n, self.generator)
        return StudentBatch(self._normal(n), self._cond(caption), self._noised(n), self._noised(n))

    def empty(self, n: int) -> Float[Tensor, "n k d"]:
        """The empty caption's condition."""
        return self.material.cond[:1].to(self.device).expand(n, -1, -1)

    def _cond(self, caption: Tensor) -> Tensor:
        return self.material.cond[caption].to(self.device)

    def _normal(self, n: int) -> Tensor:
        return torch.randn((n, *self.material.shape), generator=self.generator).to(self.device)

    def _noised(self, n: int) -> Noised:
        quantile = torch.rand(n, generator=self.generator)
        t = self.noising.times(quantile, low=self.spec.time.low, high=self.spec.time.high)
        level = quantile if self.spec.ratio.binning == "quantile" else self._snr_place(t)
        return Noised(t.to(self.device), level.to(self.device), self._normal(n))

    def _snr_place(self, t: Tensor) -> Tensor:
        quiet, loud = self._snr_range
        return ((quiet - log_snr(self.noising, t)) / (quiet - loud)).clamp(0, 1).float()


def parts_of(batch: B, count: int) -> Iterator[B]:
    """The batch in `count` equal parts, in order."""
    for place in range(count):
        yield cast(B, _part(batch, place, count))


def _part(value: object, place: int, count: int) -> object:
    if isinstance(value, Tensor):
        return value.chunk(count)[place]
    assert isinstance(value, CriticBatch | StudentBatch | Noised)
    changed: dict[str, Any] = {field.name: _part(getattr(value, field.name), place, count) for field in fields(value)}
    return replace(value, **changed)
