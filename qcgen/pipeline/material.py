"""What a distillation consumes, read from a teacher's folder and an image set."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.data.imageset import ImageSet
from qcgen.distill.material import Material
from qcgen.models.card import digest
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.protocol import ModelParts

LATENTS = "latents.safetensors"
_CHUNK = 32


def read_material(
    spec: DistillSpec, parts: ModelParts, data: ImageSet, *, device: str, check: Callable[[], None]
) -> Material:
    """Latents with their captions: the teacher's own where `qcgen train` left them, else made from the image set.

    Args:
        check: called between calls of the autoencoder; what it raises ends the work.

    Raises:
        SpecError: the image set does not fit the teacher.
    """
    rows = torch.from_numpy(data.rows(held_out=False))
    names = sorted(set(data.captions))
    order = {name: i + 1 for i, name in enumerate(names)}
    own = parts.root / LATENTS
    latents, weights = _read_own(own, rows) if own.is_file() else _make(spec, parts, data, rows, device, check)
    return Material(
        latents=latents,
        weights=weights,
        caption_of=torch.tensor([order[data.captions[int(row)]] for row in rows]),
        cond=parts.load_embedder("cpu")(["", *names]),
    )


def check_pictures(parts: ModelParts, data: ImageSet) -> None:
    """Raises SpecError where the pictures are not of the teacher's size."""
    height, width = data.images.shape[-2:]
    if (height, width) != (parts.size_px, parts.size_px):
        raise SpecError(
            f"captions: must be pictures of {parts.size_px} px, as the teacher makes (got {width} x {height}). "
            f"Cure: scale the image set to {parts.size_px} x {parts.size_px}."
        )


def _read_own(path: Path, rows: Tensor) -> tuple[Tensor, Tensor]:
    made = load_file(path)
    if "weights" not in made:
        raise PrerequisiteError(f"{path}: holds no weights of its rows. Cure: delete it and train the teacher again.")
    if len(made["weights"]) != len(rows):
        raise SpecError(
            f"captions: must be the set that the teacher was trained on (got {len(rows)} rows, its latents have "
            f"{len(made['weights'])}). Cure: give the teacher's own image set."
        )
    return made["latents"], made["weights"]


@torch.no_grad()
def _make(
    spec: DistillSpec, parts: ModelParts, data: ImageSet, rows: Tensor, device: str, check: Callable[[], None]
) -> tuple[Tensor, Tensor]:
    """One round of latents, every row equally often; made once and kept in the job's `out`."""
    check_pictures(parts, data)
    cache = spec.out / LATENTS
    pictures = hashlib.sha256(data.images.numpy().tobytes()).hexdigest()
    made_from = json.dumps({"teacher": digest(parts.root), "pictures": pictures, "rows": len(rows)}, sort_keys=True)
    if cache.is_file():
        state = cast(dict[str, Tensor], load_state(cache))
        if cast(object, state["made_from"]) == made_from:
            return state["latents"], torch.ones(len(rows))
    codec, done = parts.load_codec(device), []
    for part in rows.split(_CHUNK):
        check()
        done.append(codec.encode(data.images[part].to(device).float() / 127.5 - 1).half().cpu())
    latents = torch.cat(done)[None]
    save_state(cache, {"made_from": made_from, "latents": latents})
    return latents, torch.ones(len(rows))
