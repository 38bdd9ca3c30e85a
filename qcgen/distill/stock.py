"""A student of the SD 1.x shape as a stock diffusers pipeline, which other programs load without this package."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DiffusionPipeline, StableDiffusionPipeline
from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.card import read_card
from qcgen.models.codec import LatentCodec, load_vae
from qcgen.models.families.sd15 import Sd15Student
from qcgen.models.find import ASSETS, embedded_models
from qcgen.models.noising import Schedule
from qcgen.models.studentfolder import forget_places, guidance_proof, truncated_scheduler

_STOCK = ("AutoencoderKL", "AutoencoderTiny")
_SAME_LATENTS = 1e-3
"""Largest difference of two encoders' latents, of about unit deviation, that float32 explains; other components differ
by about 1."""


def embedded_decoder(student: Sd15Student) -> Path | None:
    """The embedded stock autoencoder that encodes a picture of noise to the student's latents; None where the student's
    own is stock, or none does."""
    if type(student.vae).__name__ in _STOCK:
        return None
    side = student.size_px
    picture = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(0)).to(student.device) * 2 - 1
    mine = LatentCodec(student.vae).encode(picture)
    for folder in (ASSETS / name for name in embedded_models()):
        if read_card(folder).kind != "stock_decoder":
            continue
        vae = load_vae(folder, student.device)
        if not _misfits(student, vae) and float((LatentCodec(vae).encode(picture) - mine).abs().max()) < _SAME_LATENTS:
            return folder
    return None


def pick_decoder(student: Sd15Student, folder: Path | None) -> AutoencoderKL | AutoencoderTiny:
    """The autoencoder that goes into the pipeline: the student's own, or the one in `folder`.

    Raises:
        SpecError: the student's own is no stock class, or the other one does not take the student's latents.
        PrerequisiteError: the folder has no autoencoder.
    """
    if folder is None:
        named = type(student.vae).__name__
        if named not in _STOCK:
            channels, side, _ = student.latent_shape
            raise SpecError(
                f"STUDENT: {student.ref.name} decodes with {named}, which is no class of diffusers, so no stock "
                f"pipeline can load it. Cure: --vae DIR with an AutoencoderKL or AutoencoderTiny whose decoder was "
                f"trained on the same latents ({channels} x {side} x {side} for {student.size_px} px), as a job of "
                "kind stock_decoder does (`qcgen train`), or run the student with `qcgen run`."
            )
        return student.vae
    if not (folder / "config.json").is_file():
        raise PrerequisiteError(f"--vae: {folder} has no config.json. Cure: give the folder of one autoencoder.")
    vae = load_vae(folder, student.device)
    problems = list(_misfits(student, vae))
    if problems:
        raise SpecError(problems)
    return vae


def _misfits(student: Sd15Student, vae: AutoencoderKL | AutoencoderTiny) -> Sequence[str]:
    """Why a decoder cannot take this student's latents, as far as configurations tell."""
    named, config = type(vae).__name__, vae.config
    channels, side, _ = student.latent_shape
    if named not in _STOCK:
        return [f"--vae: must be {' or '.join(_STOCK)} (got {named}). Cure: give a stock autoencoder."]
    problems = []
    if config.latent_channels != channels:
        problems.append(
            f"--vae: must take {channels} latent channels (got {config.latent_channels}). "
            "Cure: a decoder that was trained on this student's latents."
        )
    # AutoencoderTiny decodes what the network makes; AutoencoderKL decodes that divided by the factor.
    factor = 1.0 if named == "AutoencoderTiny" else float(student.vae.config.scaling_factor)
    if config.scaling_factor != factor:
        problems.append(
            f"--vae: must have scaling_factor {factor:g} (got {config.scaling_factor:g}). "
            "Cure: a decoder that was trained on latents of this scale."
        )
    if getattr(config, "shift_factor", None):
        problems.append(
            f"--vae: must have no shift_factor, which the pipeline would ignore (got {config.shift_factor:g}). "
            "Cure: a decoder without one."
        )
    size_px = side * 2 ** (len(config.block_out_channels) - 1)
    if size_px != student.size_px:
        problems.append(
            f"--vae: must make {student.size_px} px of {side} (got {size_px}). "
            "Cure: a decoder with as many doublings as the student's."
        )
    return problems


def write_stock(student: Sd15Student, vae: AutoencoderKL | AutoencoderTiny, folder: Path) -> None:
    """Write the pipeline in float32: what is loaded without any argument is what was compared.

    Raises:
        SpecError: the student's noise is not variance preserving, so no one-step scheduler holds it.
    """
    if not isinstance(student.schedule, Schedule):
        kind = type(student.schedule).__name__.lower()
        raise SpecError(
            f"STUDENT: must have a variance-preserving schedule for StableDiffusionPipeline (got {kind}). "
            "Cure: run it with `qcgen run`."
        )
    pipeline = StableDiffusionPipeline(
        vae=vae.float(),
        text_encoder=student.text.tower,
        tokenizer=student.text.tokenizer,
        unet=guidance_proof(student.unet),
        scheduler=truncated_scheduler(student.schedule, int(student.t_init)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    forget_places(folder)


def draw_stock(
    folder: Path, prompts: Sequence[str], noise: Float[Tensor, "b c h w"]
) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 3 hh ww"]]:
    """Latents and pixels in [0, 1] that the stock pipeline, loaded from the disk, makes of this noise."""
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(list(prompts), latents=noise, num_inference_steps=1, guidance_scale=0.0, output_type="latent")
    scaled = made.images / pipeline.vae.config.scaling_factor
    with torch.no_grad():
        pixels = pipeline.vae.decode(scaled).sample / 2 + 0.5
    return made.images, pixels.clamp(0, 1)
