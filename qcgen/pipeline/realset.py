"""The columns of the real pictures, kept in a cache folder so that the next evaluation need not embed them again."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from qcgen.data.imageset import ImageSet
from qcgen.models.protocol import ImageTextEncoder
from qcgen.pipeline.sampling import Autoencoder
from qcgen.qc.describe import VERSION, describe, describe_latents, nearest_distance
from qcgen.qc.detectors.colour_match import ColourMatch
from qcgen.qc.protocol import Batch, Columns

Show = Callable[[int, int], None]
"""Called with what is done and what there is in all."""

_BATCH = 256


def data_digest(data: ImageSet) -> str:
    """SHA-256 over the pixels, the labels and the split of an image set."""
    total = hashlib.sha256(data.images.numpy().data)
    for part in ("\n".join(data.captions), "\n".join(data.products), "\n".join(data.colours)):
        total.update(f"\0{part}".encode())
    total.update(data.held_out.numpy().tobytes())
    return total.hexdigest()


def real_columns(
    data: ImageSet,
    data_sha256: str,
    encoder: ImageTextEncoder,
    autoencoder: Autoencoder | None,
    *,
    cache: Path | None,
    show: Show,
) -> Columns:
    """All columns of `qc.describe` for every real picture, with `nearest` (held-out rows to training rows, else 0) and,
    where there is an autoencoder, `latents`.

    Args:
        cache: folder; files in it are named by the digests of what they were made from. None keeps nothing.
        show: told after each batch that had to be made.
    """

    def described() -> dict[str, Tensor]:
        return batched(
            lambda rows: describe(picture_batch(data, rows, data.images[rows], encoder), products(data)),
            len(data),
            show,
        )

    version = f"{VERSION}.{ColourMatch.version}"
    columns = _cached(cache, f"real-{data_sha256[:20]}-{encoder.digest[:20]}-{version}", described)
    if autoencoder is not None:
        encode = autoencoder.encode
        latents = _cached(
            cache,
            f"latents-{data_sha256[:20]}-{autoencoder.digest[:20]}-{VERSION}",
            lambda: batched(lambda rows: {"latents": describe_latents(encode(data.images[rows]))}, len(data), show),
        )
        columns |= latents
    nearest = torch.zeros(len(data), dtype=torch.float64)
    trained, held_out = data.rows(held_out=False), data.rows(held_out=True)
    nearest[held_out] = nearest_distance(columns["embeddings"][held_out], columns["embeddings"][trained])
    return {**columns, "nearest": nearest, "caption_ids": caption_ids(data)}


def batched(make: Callable[[Tensor], Columns], n: int, show: Show, *, size: int = _BATCH) -> dict[str, Tensor]:
    """The columns of rows 0 .. n - 1, made batch by batch."""
    parts: list[Columns] = []
    for rows in torch.arange(n).split(size):
        parts.append(make(rows))
        show(int(rows[-1]) + 1, n)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def picture_batch(data: ImageSet, rows: Tensor, images: Tensor, encoder: ImageTextEncoder) -> Batch:
    """Pictures of the captions of `rows`, as detectors and `describe` want them."""
    asked = rows.tolist()
    fields = [{"product": data.products[row], "colour": data.colours[row]} for row in asked]
    return Batch(images, [data.captions[row] for row in asked], fields, encoder)


def products(data: ImageSet) -> list[str]:
    """The classes of the top-1 test."""
    return sorted(set(data.products))


def caption_ids(data: ImageSet) -> Tensor:
    """A number for each distinct caption, one a row."""
    order = {caption: i for i, caption in enumerate(sorted(set(data.captions)))}
    return torch.tensor([order[caption] for caption in data.captions])


def _cached(folder: Path | None, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    if folder is None:
        return make()
    path = folder / f"{name}.safetensors"
    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        # A torn file is as good as none: it is made again and replaced.
        columns = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        save_file({name: column.contiguous() for name, column in columns.items()}, part)
        part.replace(path)
    except OSError:
        # A cache that cannot be written costs time, not the result.
        pass
    return columns
