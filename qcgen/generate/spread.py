"""A CPU's cores over the rows of a batch, one thread a part."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import torch
from torch import Tensor

from qcgen.models.cores import single_threaded, start_pool

_PARTS_PER_THREAD = 2


class Spread:
    """Calls a network on parts of a batch at the same time, each on one thread.

    Threads inside an operator wait for the slowest of them, operator after operator, so an encoder that takes a core
    for a moment holds up all. Parts do not wait for each other, and there are more of them than threads, so whoever is
    free takes the next. The parts' shape depends on the batch's and the number of threads alone; with another number of
    threads a convolution may round differently.

    Not to be called from two threads: the number of torch's threads belongs to the process.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, network: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """`network(*inputs)`; tensors on another device, or fewer rows than threads, in one call."""
        threads, rows = torch.get_num_threads(), len(inputs[0])
        if inputs[0].device.type != "cpu" or threads == 1 or rows < threads:
            return network(*inputs)
        parts = [one.split(-(-rows // (_PARTS_PER_THREAD * threads))) for one in inputs]
        with single_threaded():
            pool = self._pool = self._pool or start_pool(threads, "network")
            calls = [pool.submit(_call, network, *part) for part in zip(*parts, strict=True)]
            # All of them, so that after an error nothing runs on beside what the caller does about it.
            wait(calls)
            return torch.cat([call.result() for call in calls])


def _call(network: Callable[..., Tensor], *part: Tensor) -> Tensor:
    # The mode is a thread's own.
    with torch.inference_mode():
        return network(*part)
