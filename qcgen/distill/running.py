"""Running sums per noise-level bin that neither gradient accumulation nor the number of ranks changes."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed


class RunningSums:
    """Named sums per bin, decayed once per optimiser step.

    `collect` gathers what one micro-batch gives; `commit` adds all micro-batches of all ranks at once. Readers see
    earlier commits only, so a step's own samples never normalise themselves.

    Args:
        names: what is summed.
        bins: number of bins.
        decay: share of the old sums that a commit keeps.
    """

    def __init__(self, names: Sequence[str], *, bins: int, decay: float) -> None:
        self.names, self.decay = tuple(names), decay
        self._sums = torch.zeros(len(self.names), bins, dtype=torch.float64)
        self._pending = torch.zeros_like(self._sums)

    def __getitem__(self, name: str) -> Float[Tensor, " bins"]:
        return self._sums[self.names.index(name)]

    def collect(self, bins: Int[Tensor, " b"], values: Mapping[str, Tensor]) -> None:
        """Add the values of one micro-batch, one tensor of length `b` a name."""
        for name, value in values.items():
            self._pending[self.names.index(name)].index_add_(0, bins.cpu(), value.detach().double().cpu())

    def commit(self) -> None:
        """End of an optimiser step."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self._pending)
        self._sums = self.decay * self._sums + self._pending
        self._pending = torch.zeros_like(self._sums)

    def mean(self, name: str, count: str, *, prior: float = 0.0, at: float = 1.0) -> Float[Tensor, " bins"]:
        """Mean per bin, shrunk to `at` by `prior` samples; NaN where there is neither a sample nor a prior."""
        return (self[name] + prior * at) / (self[count] + prior)

    def state_dict(self) -> dict[str, Tensor]:
        return {"sums": self._sums, "pending": self._pending}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._sums, self._pending = state["sums"].clone(), state["pending"].clone()
