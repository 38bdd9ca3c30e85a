"""What most set metrics share: a memory of real rows that stay and of generated rows that `reset` forgets."""

import torch
from torch import Tensor


class Gathered:
    """Base of a set metric: rows of one or more columns, real and generated apart."""

    def __init__(self) -> None:
        self._parts: dict[bool, list[tuple[Tensor, ...]]] = {True: [], False: []}

    def least(self, features: int) -> int:
        """Rows, of each side: five nearest neighbours are then 5 % of a set."""
        return 100

    def update(self, *columns: Tensor, real: bool) -> None:
        """Keep the rows as they are."""
        self._parts[real].append(columns)

    def rows(self, *, real: bool) -> tuple[Tensor, ...]:
        """Every column, whole.

        Raises:
            RuntimeError: no row has come yet (torchmetrics raises the same).
        """
        parts = self._parts[real]
        if not parts:
            raise RuntimeError(f"no {'real' if real else 'generated'} pictures were given")
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def reset(self) -> None:
        """Forget the generated rows."""
        self._parts[False] = []
