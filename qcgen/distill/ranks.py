"""The processes of one distillation: which part of a batch each takes, and what all of them must agree about.

Every process draws the same whole batch from the same generator and works on its own part, so data and noise do not
depend on how many there are. One process alone passes through all of this without a call to `torch.distributed`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar, cast

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed

from qcgen.core.errors import PausedError, PrerequisiteError, QcgenError, SpecError
from qcgen.distill.material import CriticBatch, StudentBatch, parts_of

P = TypeVar("P", bound="Tensor | CriticBatch | StudentBatch")
T = TypeVar("T")

_TIMEOUT = timedelta(hours=2)
"""Longer than any evaluation, for which all but the first process wait."""
_BUCKET = 2**24
"""Numbers that are summed by one call; each costs as much memory again while it is on its way."""
_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_ERRORS: dict[int, type[QcgenError]] = {2: SpecError, 3: PrerequisiteError, 5: PausedError}


class Ranks:
    """One process among `world`; all of them must make the same calls in the same order.

    Attributes:
        rank: its place, 0..world - 1; the process of rank 0 alone writes files and tells.
        agreed: the error that all processes raise together, once there is one.
    """

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world
        self.agreed: BaseException | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def part(self, batch: P) -> P:
        """This process's rows of a batch whose rows are a multiple of `world`, contiguous and in order."""
        if self.world == 1:
            return batch
        if isinstance(batch, Tensor):
            return cast(P, batch.chunk(self.world)[self.rank])
        return cast(P, list(parts_of(batch, self.world))[self.rank])

    def gather(self, part: Shaped[Tensor, "part ..."]) -> Shaped[Tensor, "all ..."]:
        """The parts of all processes in order, at every one of them; parts have one shape. No gradient."""
        if self.world == 1:
            return part
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.world)]
        with _answered():
            distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def means(self, numbers: Sequence[float]) -> list[float]:
        """The mean of each number over the processes."""
        if self.world == 1:
            return list(numbers)
        return [float(one) for one in self.sum_(torch.tensor(numbers, dtype=torch.float64)) / self.world]

    def sum_(self, values: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Add the values of all processes up, in place."""
        if self.world > 1:
            with _answered():
                distributed.all_reduce(values)
        return values

    def mean_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Replace each gradient by its mean over the processes, whose parts of the batch are equally large."""
        if self.world == 1:
            return
        for bucket in _buckets(gradients):
            flat = self.sum_(torch.cat([one.flatten() for one in bucket])).div_(self.world)
            for one, mean in zip(bucket, flat.split([one.numel() for one in bucket]), strict=True):
                one.copy_(mean.view_as(one))

    def told(self, value: T) -> T:
        """What the first process has for `value`."""
        if self.world == 1:
            return value
        held = [value]
        with _answered():
            distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
        return held[0]

    def barrier(self) -> None:
        """Wait until all processes are here."""
        # Not torch's own, which on CUDA occupies the device while it waits.
        self.sum_(torch.zeros(1))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that each process does for itself and that calls none of the others: where it fails at one, it ends at
        all, and the first process tells why.

        Raises:
            QcgenError: of the kind and with the exit code of the first failure; without a message at other processes.
        """
        if self.world == 1:
            yield
            return
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        failed = torch.zeros(self.world)
        failed[self.rank] = error is not None
        if not bool(self.sum_(failed).any()):
            return
        self.agreed = self._common(error)
        raise self.agreed

    def check(self, check: Callable[[], None]) -> None:
        """Ask every process whether to stop; if one does, all stop here.

        Raises:
            PausedError: as `check` raised it at the first process that did.
        """
        with self.together():
            check()

    def _common(self, error: Exception | None) -> Exception:
        code = error.exit_code if isinstance(error, QcgenError) else QcgenError.exit_code
        kinds: list[tuple[int, str] | None] = [None] * self.world
        with _answered():
            distributed.all_gather_object(kinds, None if error is None else (code, f"{error}" or repr(error)))
        rank, (code, message) = next((rank, one) for rank, one in enumerate(kinds) if one is not None)
        foreseen = error is None or isinstance(error, QcgenError)
        if error is not None and (self.first or not foreseen):
            return error
        lines = [f"process {rank}: {line}" for line in message.splitlines()] if self.first else []
        kind = _ERRORS.get(code, QcgenError)
        made = SpecError(lines) if kind is SpecError else kind("\n".join(lines))
        made.exit_code = code
        return made


@contextmanager
def joined(device: str, *, timeout: timedelta = _TIMEOUT) -> Iterator[Ranks]:
    """This process among those that `torchrun` started, while the block runs; alone where it started none or one.

    A process that is done, or stops with all others, waits for the first one: torchrun ends all as soon as one ends
    with an error code.

    Args:
        device: `cpu` or `cuda`; on CUDA each process gets a GPU of its own.
        timeout: how long to wait for an answer of the others.

    Raises:
        PrerequisiteError: more processes than GPUs.
        QcgenError: another process ended or did not answer.
    """
    if not all(name in os.environ for name in _LAUNCHED) or int(os.environ["WORLD_SIZE"]) == 1:
        yield Ranks()
        return
    cuda = device.startswith("cuda")
    if cuda:
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    with _answered():
        # Flags, messages and statistics go through the CPU; a GPU that waits for them stays free.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timeout)
    ranks = Ranks(distributed.get_rank(), distributed.get_world_size())
    try:
        yield ranks
    except BaseException as error:
        # Any other error came to this process alone; the rest learns of it when its connections close.
        if error is ranks.agreed:
            _leave(ranks)
        raise
    _leave(ranks)


def _leave(ranks: Ranks) -> None:
    ranks.barrier()
    distributed.destroy_process_group()


def _take_gpu(place: int) -> None:
    count = torch.cuda.device_count()
    if place >= count:
        raise PrerequisiteError(
            f"torchrun: a GPU for each process of this machine (got {count} for at least {place + 1} processes). "
            f"Cure: --nproc_per_node {count}."
        )
    torch.cuda.set_device(place)


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise QcgenError(
            "Another process of this training ended or did not answer. Cure: see what it told, then start the same "
            f"torchrun command again with --resume ({first_line})."
        ) from error


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for one in gradients:
        if bucket and size + one.numel() > _BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(one)
        size += one.numel()
    if bucket:
        yield bucket
