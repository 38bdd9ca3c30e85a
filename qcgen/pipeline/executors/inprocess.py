"""One shard after the other in this process; the files and rows of one are written while the next is made."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from qcgen.core.types import Produced, Shard


class Pending(Protocol):
    """A shard whose pictures are made and whose files may still be on their way."""

    @property
    def shard(self) -> Shard: ...

    def finish(self) -> Sequence[Produced]:
        """Every attempt, by item and attempt, once all files are on disk."""
        ...


Lease = Callable[[], tuple[Shard, int] | None]
Work = Callable[[Shard], Pending]
Record = Callable[[Pending, int], Sequence[Produced]]
Tell = Callable[[Sequence[Produced]], None]


def work_through(lease: Lease, work: Work, record: Record, tell: Tell) -> None:
    """Lease and work until no shard is left; a shard is recorded by another thread while the next one is made.

    An error ends the loop. The shard that was made before it is recorded first, if that can be done.

    Args:
        record: waits for a shard's files and stores its rows; never called twice at a time.
        tell: receives what was recorded, in the caller's thread.
    """
    with ThreadPoolExecutor(1, "record") as recorder:
        recording: Future[Sequence[Produced]] | None = None
        while (leased := lease()) is not None:
            shard, token = leased
            try:
                made = work(shard)
            except Exception:
                if recording is not None:
                    # The error on its way says more than a second one would.
                    with suppress(Exception):
                        tell(recording.result())
                raise
            if recording is not None:
                tell(recording.result())
            recording = recorder.submit(record, made, token)
        if recording is not None:
            tell(recording.result())
