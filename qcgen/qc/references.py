"""Reference pictures as hashes and embeddings in one small file, and the nearest of them to a picture."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import IntegrityError, PrerequisiteError
from qcgen.qc.phash import Hashes

_VERSION = 1
_ROWS = 64
"""Pictures compared at once: 64 with 10,000 references take 20 MB."""


@dataclass(frozen=True, slots=True)
class References:
    """One row a reference.

    Attributes:
        hashes: 256 bits each, of the picture as it is; a mirrored picture is found by mirroring the other side.
        vectors: unit embeddings by `encoder`, float16 on disk; None where no CLIP was given.
        sha256: of the file.
    """

    ids: tuple[str, ...]
    hashes: Hashes
    sha256: str
    encoder: str | None = None
    vectors: Float[Tensor, "n d"] | None = None


def pack(digits: Sequence[str]) -> Hashes:
    """Perceptual hashes as rows of four words, from their 64 hex digits."""
    return np.frombuffer(bytes.fromhex("".join(digits)), dtype=np.uint64).reshape(-1, 4)


def nearest(hashes: Hashes, references: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Distance in bits and place of each row's nearest reference; of several the first."""
    bits, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(hashes), _ROWS):
        distance = _distances(hashes[start : start + _ROWS], references)
        place = distance.argmin(1)
        bits.append(distance[np.arange(len(place)), place].astype(np.int64))
        places.append(place)
    return np.concatenate(bits), np.concatenate(places)


def _distances(hashes: Hashes, references: Hashes) -> npt.NDArray[np.uint16]:
    total = np.zeros((len(hashes), len(references)), dtype=np.uint16)
    for word in range(hashes.shape[1]):
        total += np.bitwise_count(hashes[:, word, None] ^ references[None, :, word])
    return total


def write_references(
    path: Path, *, ids: Sequence[str], hashes: Hashes, encoder: str | None, vectors: npt.NDArray[np.float16] | None
) -> None:
    """32 bytes a picture, and 2 d more with embeddings; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    columns: dict[str, npt.ArrayLike] = {"version": _VERSION, "ids": np.array(ids), "hashes": hashes}
    if vectors is not None and encoder is not None:
        columns |= {"encoder": encoder, "vectors": vectors}
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)
    os.replace(part, path)


def read_references(path: Path) -> References:
    """Raises PrerequisiteError where there is no such file, IntegrityError where it is no whole file of references."""
    if not path.is_file():
        raise PrerequisiteError(
            f"{path}: the profile's references are missing. Cure: qcgen references SET|DIR --to {path.name}"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        return _check(columns, hashlib.sha256(path.read_bytes()).hexdigest())
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise IntegrityError(
            f"{path}: is no whole file of references ({error}). Cure: qcgen references SET|DIR --to {path.name}"
        ) from error


def _check(columns: Mapping[str, npt.NDArray[np.generic]], sha256: str) -> References:
    if columns["version"].item() != _VERSION:
        raise ValueError(f"version {columns['version']}, not {_VERSION}")
    ids, hashes = tuple(map(str, columns["ids"].tolist())), columns["hashes"]
    if hashes.dtype != np.uint64 or hashes.shape != (len(ids), 4) or not ids:
        raise ValueError(f"{len(ids)} ids and hashes of shape {hashes.shape}")
    vectors = columns.get("vectors")
    if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(ids)):
        raise ValueError(f"{len(ids)} ids and embeddings of shape {vectors.shape}")
    return References(
        ids=ids,
        hashes=hashes.astype(np.uint64),
        sha256=sha256,
        encoder=None if vectors is None else str(columns["encoder"]),
        vectors=None if vectors is None else torch.from_numpy(vectors.astype(np.float32)),
    )
