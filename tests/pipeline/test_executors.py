"""The order of making and committing, and what an error in one shard leaves of the one before."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from qcgen.core.types import Produced, Shard
from qcgen.pipeline.executors.inprocess import Pending, work_through


@dataclass(frozen=True)
class Empty:
    shard: Shard

    def finish(self) -> list[Produced]:
        return []


class Line:
    """Three shards to lease, and a log of what was done to them."""

    def __init__(self, *, broken_work: int | None = None, broken_commit: int | None = None) -> None:
        self.broken_work, self.broken_commit = broken_work, broken_commit
        self.log: list[str] = []
        self._left: Iterator[Shard] = iter([Shard(number, number * 4, number * 4 + 4) for number in range(3)])

    def run(self) -> None:
        work_through(self.lease, self.work, self.commit)

    def lease(self) -> tuple[Shard, int] | None:
        shard = next(self._left, None)
        return None if shard is None else (shard, 100 + shard.number)

    def work(self, shard: Shard) -> Pending:
        if shard.number == self.broken_work:
            raise RuntimeError("work")
        self.log.append(f"made {shard.number}")
        return Empty(shard)

    def commit(self, made: Pending, token: int) -> None:
        if made.shard.number == self.broken_commit:
            raise OSError("commit")
        self.log.append(f"committed {made.shard.number} with {token}")


def test_each_shard_is_committed_once_after_the_next_was_made() -> None:
    line = Line()
    line.run()
    assert line.log == [
        "made 0",
        "made 1",
        "committed 0 with 100",
        "made 2",
        "committed 1 with 101",
        "committed 2 with 102",
    ]


def test_an_error_in_one_shard_does_not_cost_the_one_before() -> None:
    line = Line(broken_work=1)
    with pytest.raises(RuntimeError, match="work"):
        line.run()
    assert line.log == ["made 0", "committed 0 with 100"]


def test_the_first_error_is_the_one_that_is_told() -> None:
    line = Line(broken_work=1, broken_commit=0)
    with pytest.raises(RuntimeError, match="work"):
        line.run()


def test_a_commit_that_fails_ends_the_loop() -> None:
    line = Line(broken_commit=0)
    with pytest.raises(OSError, match="commit"):
        line.run()
    assert line.log == ["made 0", "made 1"]
