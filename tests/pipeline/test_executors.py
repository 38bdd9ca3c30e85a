"""The order of making and recording, and what an error in one shard leaves of the one before."""

import threading
from collections.abc import Iterator, Sequence
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

    def __init__(self, *, broken_work: int | None = None, broken_record: int | None = None) -> None:
        self.broken_work, self.broken_record = broken_work, broken_record
        self.made: list[int] = []
        self.recorded: list[tuple[int, int]] = []
        self.told = 0
        self.threads: set[int] = set()
        self._left: Iterator[Shard] = iter([Shard(number, number * 4, number * 4 + 4) for number in range(3)])

    def run(self) -> None:
        work_through(self.lease, self.work, self.record, self.tell)

    def lease(self) -> tuple[Shard, int] | None:
        shard = next(self._left, None)
        return None if shard is None else (shard, 100 + shard.number)

    def work(self, shard: Shard) -> Pending:
        # All but the one before, which may still be on its way, are recorded and told.
        assert self.told >= shard.number - 1
        if shard.number == self.broken_work:
            raise RuntimeError("work")
        self.made.append(shard.number)
        return Empty(shard)

    def record(self, made: Pending, token: int) -> list[Produced]:
        self.threads.add(threading.get_ident())
        if made.shard.number == self.broken_record:
            raise OSError("record")
        self.recorded.append((made.shard.number, token))
        return []

    def tell(self, produced: Sequence[Produced]) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.told += 1


def test_each_shard_is_recorded_once_in_order_by_one_other_thread() -> None:
    line = Line()
    line.run()
    assert line.made == [0, 1, 2]
    assert line.recorded == [(0, 100), (1, 101), (2, 102)]
    assert line.told == 3
    assert len(line.threads) == 1
    assert threading.get_ident() not in line.threads


def test_an_error_in_one_shard_does_not_cost_the_one_before() -> None:
    line = Line(broken_work=1)
    with pytest.raises(RuntimeError, match="work"):
        line.run()
    assert line.recorded == [(0, 100)]
    assert line.told == 1


def test_the_first_error_is_the_one_that_is_told() -> None:
    line = Line(broken_work=1, broken_record=0)
    with pytest.raises(RuntimeError, match="work"):
        line.run()


def test_a_record_that_fails_ends_the_loop() -> None:
    line = Line(broken_record=0)
    with pytest.raises(OSError, match="record"):
        line.run()
    assert line.made == [0, 1]
    assert line.recorded == []
