"""Embeddings of many pictures as a small file: float16 unit vectors with ids and prompts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One row a picture, of one encoder."""

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    vectors: Float[Tensor, "n d"]

    def only(self, ids: Sequence[str]) -> "Embeddings":
        """Those of the ids that are there, in the order given."""
        places = {one: place for place, one in enumerate(self.ids)}
        kept = [places[one] for one in ids if one in places]
        return Embeddings(
            tuple(self.ids[place] for place in kept), tuple(self.prompts[place] for place in kept), self.vectors[kept]
        )


def concatenate(parts: Sequence[Embeddings]) -> Embeddings | None:
    """All rows in order; None if there are none."""
    ids = tuple(one for part in parts for one in part.ids)
    if not ids:
        return None
    prompts = tuple(one for part in parts for one in part.prompts)
    return Embeddings(ids, prompts, torch.cat([part.vectors for part in parts]))


def write_embeddings(
    path: Path, *, encoder: str, ids: Sequence[str], prompts: Sequence[str], vectors: npt.NDArray[np.float16]
) -> None:
    """About 2 d bytes a picture; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, encoder=np.array(encoder), ids=np.array(ids), prompts=np.array(prompts), vectors=vectors)
    os.replace(part, path)


def read_embeddings(paths: Sequence[Path], *, encoder: str | None = None) -> Embeddings | None:
    """All rows of the files that are of the encoder (of any, if None); None if there are none.

    Raises:
        IntegrityError: a file is no whole file of embeddings.
    """
    ids: list[str] = []
    prompts: list[str] = []
    vectors: list[npt.NDArray[np.float16]] = []
    for path in paths:
        file = _read(path)
        if encoder is None or str(file["encoder"]) == encoder:
            ids += file["ids"].tolist()
            prompts += file["prompts"].tolist()
            vectors.append(file["vectors"].astype(np.float16))
    if not ids:
        return None
    return Embeddings(tuple(ids), tuple(prompts), torch.from_numpy(np.concatenate(vectors)).float())


def _read(path: Path) -> Mapping[str, npt.NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("encoder", "ids", "prompts", "vectors")}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise IntegrityError(
            f"{path}: is no whole file of embeddings ({error}). Cure: delete it; the batch gates then leave it out."
        ) from error
