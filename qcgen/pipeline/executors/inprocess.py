"""One shard after the other in this process; the files of one are written while the next is made."""

from collections.abc import Callable, Sequence
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
Commit = Callable[[Pending, int], None]


def work_through(lease: Lease, work: Work, commit: Commit) -> None:
    """Lease and work until no shard is left; each shard is committed after the next one was made.

    An error ends the loop. The shard that was made before it is committed first, if that can be done.
    """
    waiting: tuple[Pending, int] | None = None
    while (leased := lease()) is not None:
        shard, token = leased
        try:
            made = work(shard)
        except Exception:
            if waiting is not None:
                # The error on its way says more than a second one would.
                with suppress(Exception):
                    commit(*waiting)
            raise
        if waiting is not None:
            commit(*waiting)
        waiting = made, token
    if waiting is not None:
        commit(*waiting)
