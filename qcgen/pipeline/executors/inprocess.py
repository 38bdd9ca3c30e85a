"""One shard after the other in this process."""

from collections.abc import Callable, Sequence

from qcgen.core.types import Produced, Shard

Lease = Callable[[], tuple[Shard, int] | None]
Work = Callable[[Shard], Sequence[Produced]]
Commit = Callable[[Shard, int, Sequence[Produced]], None]


def work_through(lease: Lease, work: Work, commit: Commit) -> None:
    """Lease, work, commit until no shard is left. An error of one shard ends the loop before its commit."""
    while (leased := lease()) is not None:
        shard, token = leased
        commit(shard, token, work(shard))
