"""Attempts that reviewers asked for: one for each, with the item's next seed, also beyond the job's `max_attempts`."""

from collections.abc import Callable, Sequence

from qcgen.core.expand import Expansion
from qcgen.core.review import Regeneration
from qcgen.core.types import Shard
from qcgen.pipeline.executors.inprocess import Pending
from qcgen.pipeline.retry import ShardWorker

_NUMBER = -1
"""Of no shard: these attempts belong to several."""


def make_again(
    asked_for: Callable[[], Sequence[Regeneration]],
    worker: ShardWorker,
    expansion: Expansion,
    *,
    size: int,
    record: Callable[[Pending, Sequence[Regeneration]], None],
) -> None:
    """Make and record what is asked for until nothing is, `size` attempts at a time.

    Asked again after each part: where lost files were made again, a person may have refused the attempt that only now
    is there once more.

    Args:
        record: waits for the files and stores the rows; what was recorded is asked for no more.
    """
    while asked := asked_for()[:size]:
        items = [expansion.item(one.item_index, one.attempt) for one in asked]
        made = worker.produce_once(items, Shard(_NUMBER, items[0].index, items[-1].index + 1))
        record(made, asked)
