"""Students and teachers as one thing: prompts and seeds to pictures. Equal seeds give equal noise to both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.core.types import ModelRef
from qcgen.distill.pairs import solve, solver_calls
from qcgen.generate.batch import quantise
from qcgen.generate.noise import stack_noise
from qcgen.models.card import STUDENT_FILE, digest
from qcgen.models.families.sd15 import Parts
from qcgen.models.parts import find_parts
from qcgen.models.protocol import ModelParts, Student, Teacher


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
        solver_steps: None for a student.
        guidance_scale: None for a student, which has none.
        draw: prompts and seeds to latents `b c h w`.
        decode: latents to pixels in about [0, 1], `b 3 h w`.
        autoencoder: None where a family has none to encode with.
    """

    ref: ModelRef
    kind: str
    network_calls: int
    solver_steps: int | None
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
        codes, finite = quantise(self.decode(latents))
        if not all(finite):
            raise IntegrityError(
                f"{self.ref.name}: {finite.count(False)} of {len(codes)} pictures of a batch hold non-finite numbers. "
                "Cure: these weights cannot be measured; go back to an earlier checkpoint."
            )
        return codes.cpu()


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
    autoencoder = None if ref.name.startswith("toy:") else _autoencoder(find_parts(ref.folder), device)
    return Sampler(ref, "student", 1, None, None, draw, student.decode, autoencoder)


def sample_teacher(ref: ModelRef, *, steps: int, guidance_scale: float, device: str = "cpu") -> Sampler:
    """`steps` of the solver that fits the teacher (`distill.pairs.solve`), guided by the empty caption."""
    parts = find_parts(ref.folder, where="MODEL")
    if guidance_scale != 1 and not parts.guidable:
        raise SpecError(
            f"--guidance: must be 1 for a teacher without an empty caption (got {guidance_scale:g}). Cure: 1."
        )
    # The solver's calls are in bfloat16 where the job does not say otherwise, as those for pairs are.
    teacher = cast(Teacher, parts.load_network(device, dtype=torch.bfloat16).eval())
    codec = parts.load_codec(device)
    embed = parts.load_embedder(device)
    empty = embed([""])
    calls = solver_calls(parts.schedule, steps, guidance_scale)

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        noise = stack_noise(seeds, parts.latent_shape).to(device)
        return solve(teacher, noise, embed(prompts), empty, steps=steps, guidance_scale=guidance_scale)

    return Sampler(ref, "teacher", calls, steps, guidance_scale, draw, codec.decode, _autoencoder(parts, device))


def _autoencoder(parts: ModelParts, device: str) -> Autoencoder | None:
    if not isinstance(parts, Parts):
        return None
    codec = parts.load_codec(device)

    @torch.no_grad()
    def encode(images: Tensor) -> Tensor:
        return codec.encode(images.to(device).float() / 127.5 - 1)

    return Autoencoder(digest(parts.vae), encode)
