"""Students and teachers as one thing: prompts and seeds to pictures. Equal seeds give equal noise to both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.core.types import ModelRef
from qcgen.distill.pairs import solve
from qcgen.generate.noise import stack_noise
from qcgen.models.card import digest
from qcgen.models.families.sd15 import Parts, TextTower
from qcgen.models.find import STUDENT_FILE
from qcgen.models.noising import Schedule
from qcgen.models.protocol import Student


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """What takes real pictures (uint8 `b 3 h w`) to the latents a model works on, and the digest of its files."""

    digest: str
    encode: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A model with all settings of its sampling.

    Attributes:
        kind: `student` or `teacher`.
        network_calls: calls of the network per picture; a guided step makes two.
        guidance_scale: None for a student, which has none.
        draw: prompts and seeds to latents `b c h w`.
        decode: latents to pixels in about [0, 1], `b 3 h w`.
        autoencoder: None where a family has none to encode with.
    """

    ref: ModelRef
    kind: str
    network_calls: int
    guidance_scale: float | None
    draw: Callable[[Sequence[str], Sequence[int]], Tensor]
    decode: Callable[[Tensor], Tensor]
    autoencoder: Autoencoder | None

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """Pictures, uint8 `b 3 h w`, on the CPU."""
        return self.pictures(self.draw(prompts, seeds))

    def pictures(self, latents: Tensor) -> Tensor:
        """Pictures of latents, uint8 `b 3 h w`, on the CPU.

        Raises:
            IntegrityError: a picture holds a non-finite number, which uint8 would hide.
        """
        pixels = self.decode(latents).float()
        broken = int((~torch.isfinite(pixels)).flatten(1).any(1).sum())
        if broken:
            raise IntegrityError(
                f"{self.ref.name}: {broken} of {len(pixels)} pictures of a batch hold non-finite numbers. "
                "Cure: these weights cannot be measured; go back to an earlier checkpoint."
            )
        return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def model_kind(ref: ModelRef) -> str:
    """`student` or `teacher`, by the files of the folder.

    Raises:
        SpecError: it is neither.
    """
    if ref.name.startswith("toy:") or (ref.folder / STUDENT_FILE).is_file():
        return "student"
    if (ref.folder / "unet").is_dir() and (ref.folder / "scheduler").is_dir():
        return "teacher"
    raise SpecError(
        f"MODEL: {ref.name} is neither a student nor a teacher (its card says {ref.card.kind}; it has "
        f"no {STUDENT_FILE}, and no unet with a scheduler). Cure: give what `qcgen distill` or `qcgen train` wrote."
    )


def sample_student(student: Student, *, device: str = "cpu") -> Sampler:
    """One network call a picture."""

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        noise = stack_noise(seeds, student.latent_shape).to(device)
        return student.generate(noise, student.embed(prompts))

    ref = student.ref
    autoencoder = None if ref.name.startswith("toy:") else _autoencoder(Parts.find(ref.folder), device)
    return Sampler(ref, "student", 1, None, draw, student.decode, autoencoder)


def sample_teacher(ref: ModelRef, *, steps: int, guidance_scale: float, device: str = "cpu") -> Sampler:
    """DPM-Solver++ (2M), `steps` calls with and without the caption."""
    parts = Parts.find(ref.folder)
    unet, vae, schedule = parts.load_unet(device).eval(), parts.load_vae(device), parts.schedule
    if not isinstance(schedule, Schedule):
        raise SpecError(
            f"MODEL: {ref.name} is a flow or EDM teacher; only variance-preserving ones can be sampled here. "
            "Cure: measure the student that was distilled from it."
        )
    text = TextTower(parts.tokenizer, parts.text_encoder, device)
    empty = text.embed([""])
    side = unet.config.sample_size

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        noise = stack_noise(seeds, (unet.config.in_channels, side, side)).to(device)
        return solve(unet, schedule, noise, text.embed(prompts), empty, steps=steps, guidance_scale=guidance_scale)

    @torch.no_grad()
    def decode(latents: Tensor) -> Tensor:
        pixels: Tensor = vae.decode(latents / vae.config.scaling_factor).sample / 2 + 0.5
        return pixels

    return Sampler(ref, "teacher", 2 * steps, guidance_scale, draw, decode, _autoencoder(parts, device))


def _autoencoder(parts: Parts, device: str) -> Autoencoder:
    vae = parts.load_vae(device)

    @torch.no_grad()
    def encode(images: Tensor) -> Tensor:
        coded = vae.encode(images.to(device).float() / 127.5 - 1)
        # diffusers' AutoencoderKL gives a distribution, whose mean is the latent; our own gives the latent.
        latents: Tensor = coded if isinstance(coded, Tensor) else coded.latent_dist.mean
        return latents * float(vae.config.scaling_factor)

    return Autoencoder(digest(parts.vae), encode)
