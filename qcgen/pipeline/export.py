"""A student for other programs: gate, stock pipeline, proof that it draws the same, card and licence block."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import jinja2
import torch
from torch import Tensor

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.core.types import Card, Lineage, ModelRef
from qcgen.distill.stock import draw_stock, embedded_decoder, pick_decoder, write_stock
from qcgen.generate.noise import stack_noise
from qcgen.govern.families import sources_of
from qcgen.govern.protocol import Work
from qcgen.models.card import STUDENT_FILE, digest, read_card
from qcgen.models.embedded import load_student
from qcgen.models.families.sd15 import Parts, Sd15Student
from qcgen.models.parts import find_parts
from qcgen.pipeline.card import describe_parts
from qcgen.pipeline.licence import pass_gate
from qcgen.pipeline.publish import write_card

LATENT_TOLERANCE = 1e-4
"""Largest difference of latents, of about unit deviation: float32 sums in another order differ by about 1e-6, and an
epsilon network's error is multiplied by sigma / alpha, up to 15."""
PIXEL_TOLERANCE = 1e-3
"""Of pixels in [0, 1]: a quarter of an 8-bit step, after a decoder that may amplify the latents' difference."""
_ALIKE_DB = 15.0
_PAGE = "README.md"
_PROMPTS = ("a photo of a red dress", "a photo of a blue hat")
_SEEDS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how far its pictures are from the student's.

    Attributes:
        latents, pixels: largest differences over four seeds.
        decoder_db: peak signal to noise of another decoder against the student's own; None for its own.
    """

    folder: Path
    latents: float
    pixels: float
    decoder_db: float | None


def export_stock(
    ref: ModelRef,
    folder: Path,
    *,
    vae: Path | None,
    purpose: Literal["commercial", "research"],
    say: Callable[[str], None],
) -> Exported:
    """Write a one-step student of the SD 1.x shape as a folder that `DiffusionPipeline.from_pretrained` loads.

    The folder appears whole or not at all, after its pictures were compared with the student's.

    Args:
        vae: a stock autoencoder's folder, in place of the student's own; where that is no stock class, an embedded one
            of the same latents is taken by itself.
        purpose: what the copy is for; the licence gate reads it.
        say: receives warnings.

    Raises:
        BlockedError: a licence stands against it.
        SpecError: the folder is taken, the model is no such student, or its decoder fits no stock pipeline.
        IntegrityError: the written pipeline draws other pictures.
    """
    card = ref.card if vae is None else _with_decoder(ref.card, vae)
    pass_gate(Work("export", purpose, ref.name), card, key="STUDENT", say=say)
    folder = folder.resolve()
    if folder == Path.cwd() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise SpecError(f"--out: must be a new or empty folder (got {folder}). Cure: another folder.")
    family = "toy" if ref.name.startswith("toy:") else find_parts(ref.folder, where="STUDENT").name
    if family != Parts.name:
        raise SpecError(
            f"STUDENT: must be of the family {Parts.name}, whose stock pipeline refuses wrong use (got {family}). "
            "Cure: run it with `qcgen run`."
        )
    student = load_student(ref, dtype="float32")
    assert isinstance(student, Sd15Student)
    if vae is None and (vae := embedded_decoder(student)) is not None:
        card = _with_decoder(card, vae)
        pass_gate(Work("export", purpose, vae.name), read_card(vae), key="--vae", say=say)
        say(f"decoder: embedded:{vae.name}, because {type(student.vae).__name__} is no class of diffusers")
    decoder = pick_decoder(student, vae)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        write_stock(student, decoder, part)
        made = _compare(student, part, own_decoder=vae is None)
        if made.decoder_db is not None and made.decoder_db < _ALIKE_DB:
            say(
                f"warn decoder: {vae} agrees with the student's own decoder to {made.decoder_db:.1f} dB only. "
                "Cure: train it on this student's latents, and look at the pictures."
            )
        shutil.copy2(ref.folder / STUDENT_FILE, part / STUDENT_FILE)
        _write_cards(part, ref, card, made, student, purpose=purpose)
        if folder.exists():
            folder.rmdir()
        # The temporary folder was this user's alone.
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return replace(made, folder=folder)


def _with_decoder(card: Card, vae: Path) -> Card:
    """The card of the student with another decoder, whose licence comes in with it."""
    if not vae.is_dir():
        raise SpecError(f"--vae: the folder {str(vae)!r} does not exist. Cure: give the folder of one autoencoder.")
    other = read_card(vae)
    edge = Lineage("decodes_with", other.name, other.licence or "", digest(vae))
    # Measures of the pictures do not hold for other pictures.
    return replace(card, lineage=tuple(dict.fromkeys((*card.lineage, edge, *other.lineage))), measures={})


def _compare(student: Sd15Student, folder: Path, *, own_decoder: bool) -> Exported:
    prompts = [_PROMPTS[seed % len(_PROMPTS)] for seed in _SEEDS]
    noise = stack_noise(_SEEDS, student.latent_shape)
    latents, pixels = draw_stock(folder, prompts, noise)
    mine = student.generate(noise, student.embed(prompts))
    drawn = student.decode(mine).clamp(0, 1)
    gap = _largest(latents, mine)
    shown = _largest(pixels, drawn) if own_decoder else 0.0
    if not (gap <= LATENT_TOLERANCE and shown <= PIXEL_TOLERANCE):
        raise IntegrityError(
            f"{student.ref.name}: the stock pipeline draws other pictures (latents differ by {gap:.2g}, pixels by "
            f"{shown:.2g}; allowed {LATENT_TOLERANCE:g} and {PIXEL_TOLERANCE:g}). Nothing was written. Cure: "
            "`qcgen models show` says what the folder holds; export it again from the distillation's own output."
        )
    error = float((pixels - drawn).square().mean())
    decibel = None if own_decoder else float(-10 * torch.tensor(max(error, 1e-12)).log10())
    return Exported(folder, gap, shown, decibel)


def _largest(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _write_cards(
    folder: Path, ref: ModelRef, card: Card, made: Exported, student: Sd15Student, *, purpose: str
) -> None:
    notes = {**card.notes, "exported_from": f"{card.name}, digest {ref.digest}", "purpose": purpose}
    write_card(
        folder,
        kind="student",
        lineage=card.lineage,
        measures=card.measures,
        licence=card.licence,
        notes=notes,
        name=card.name,
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qcgen.pipeline"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    facts = json.loads((folder / STUDENT_FILE).read_text(encoding="utf-8"))
    text = environment.get_template(f"{_PAGE}.j2").render(
        card=card,
        purpose=purpose,
        sources=sources_of(card),
        parts=describe_parts(folder),
        digest=digest(folder),
        source_digest=ref.digest,
        made=made,
        facts=facts,
        channels=student.latent_shape[0],
        side=student.latent_shape[1],
        tolerances=(LATENT_TOLERANCE, PIXEL_TOLERANCE),
    )
    (folder / _PAGE).write_text(text, encoding="utf-8")
