"""torch's global generators as part of a checkpoint: a teacher with dropout draws from them."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor


def random_state(world: int) -> dict[str, object]:
    """States of the CPU's generator and of the GPUs'; with several processes, of this one's GPU alone."""
    cuda: list[Tensor] = []
    if torch.cuda.is_available():
        # Asking for all of them would start a context on every GPU from every process.
        cuda = torch.cuda.get_rng_state_all() if world == 1 else [torch.cuda.get_rng_state()]
    return {"random": torch.get_rng_state(), "cuda_random": cuda}


def set_random_state(state: Mapping[str, object], world: int) -> None:
    """What `random_state` gave; GPUs that are not here are left out."""
    torch.set_rng_state(cast(Tensor, state["random"]))
    cuda = cast(list[Tensor], state["cuda_random"])
    if cuda and world > 1:
        torch.cuda.set_rng_state(cuda[0])
    elif cuda and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(cuda)
