"""Threads that take a core each: one torch thread in every one of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import torch


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread in torch's operators meanwhile; the number belongs to the process, so never from two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start_pool(count: int, name: str) -> ThreadPoolExecutor:
    """Threads that have all told OpenMP, whose count is a thread's own, that they work alone."""
    pool = ThreadPoolExecutor(count, name, initializer=torch.set_num_threads, initargs=(1,))
    started = Barrier(count)
    list(pool.map(lambda _: started.wait(), range(count)))
    return pool
