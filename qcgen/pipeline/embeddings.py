"""The embeddings that a run's checks computed anyway, kept for the batch gates: `<out>/embeddings/<shard>.npz`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from torch import Tensor

from qcgen.core.types import Item, Produced
from qcgen.qc.embeddings import Embeddings, read_embeddings, write_embeddings

FOLDER = "embeddings"


class EmbeddingKeeper:
    """Holds vectors from the checks until their shard is recorded; either side may be in a thread of its own."""

    def __init__(self, folder: Path, encoder: str) -> None:
        self._folder = folder / FOLDER
        self._encoder = encoder
        self._held: dict[str, npt.NDArray[np.float16]] = {}

    def hold(self, items: Sequence[Item], vectors: Float[Tensor, "b d"]) -> None:
        rows = vectors.cpu().half().numpy()
        self._held.update((item.id, row) for item, row in zip(items, rows, strict=True))

    def write(self, stem: str, produced: Sequence[Produced]) -> None:
        """A shard's file, before its rows are recorded; written again if the shard is made again."""
        items = [each.item for each in produced if each.item.id in self._held]
        if not items:
            return
        write_embeddings(
            self._folder / f"{stem}.npz",
            encoder=self._encoder,
            ids=[item.id for item in items],
            prompts=[item.prompt for item in items],
            vectors=np.stack([self._held.pop(item.id) for item in items]),
        )


def embeddings_of(out_dir: Path, encoder: str | None) -> Embeddings | None:
    """What a run left, replaced attempts included."""
    return read_embeddings(sorted((out_dir / FOLDER).glob("*.npz")), encoder=encoder)
