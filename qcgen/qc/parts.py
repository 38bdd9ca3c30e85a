"""A CPU's cores over a batch's pictures: each takes a few at a time through all detectors.

Threads inside an operator wait for each other thousands of times a batch; parts do not. Their shape depends on the
pictures alone, so that the number of cores changes no score.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from qcgen.models.cores import single_threaded, start_pool
from qcgen.qc.protocol import Batch, Scores

_PART_PX = 1 << 20
_pools: dict[int, ThreadPoolExecutor] = {}

P = TypeVar("P")
T = TypeVar("T")


def parts_of(batch: Batch) -> list[Batch]:
    """The batch in parts of about a megapixel; whole where the pictures are not on the CPU."""
    height, width = batch.images.shape[-2:]
    count = max(1, _PART_PX // max(1, height * width))
    if not batch.images.is_cpu or len(batch.images) <= count:
        return [batch]
    return [batch.part(start, start + count) for start in range(0, len(batch.images), count)]


def over_cores(function: Callable[[P], T], parts: Sequence[P]) -> list[T]:
    """`function` of each part, in their order; not to be called from two threads."""
    threads = torch.get_num_threads()
    if len(parts) <= 1 or threads == 1:
        return [function(part) for part in parts]
    with single_threaded():
        pool = _pools.get(threads) or _pools.setdefault(threads, start_pool(threads, "checks"))
        calls = [pool.submit(_call, function, part) for part in parts]
        # All of them, so that after an error nothing runs on beside what the caller does about it.
        wait(calls)
        return [call.result() for call in calls]


def joined(scores: Sequence[Scores]) -> Scores:
    """A batch's scores from its parts'."""
    return Scores(
        torch.cat([one.values for one in scores]),
        tuple(reason for one in scores for reason in one.reasons),
        tuple(facts for one in scores for facts in one.evidence),
    )


def _call(function: Callable[[P], T], part: P) -> T:
    # The mode is a thread's own.
    with torch.inference_mode():
        return function(part)
