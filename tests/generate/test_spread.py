"""Rows over threads: the same pictures, torch's thread count as before, errors as they are."""

import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from qcgen.generate.spread import Spread


@pytest.fixture(autouse=True)
def threads() -> Iterator[int]:
    """Two threads to spread over, whatever the machine has, and the machine's own count afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 3, 3)).eval()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64])
def test_parts_give_the_pictures_of_one_call_and_always_the_same(network: nn.Sequential, rows: int) -> None:
    """A convolution may choose another algorithm for fewer rows, so one call's bits are not asked for."""
    batch = torch.rand(rows, 3, 32, 32)
    spread = Spread()
    with torch.inference_mode():
        made = spread(network, [batch])
        torch.testing.assert_close(made, network(batch), rtol=0, atol=1e-5)
        assert torch.equal(spread(network, [batch]), made)


def test_rows_of_several_inputs_stay_together() -> None:
    noise, cond = torch.rand(10, 4), torch.rand(10, 2, 4)
    made = Spread()(lambda z, c: z + c.sum(1), [noise, cond])
    assert torch.equal(made, noise + cond.sum(1))


def test_parts_work_alone_and_do_not_record_gradients(threads: int) -> None:
    seen: list[tuple[int, int, bool]] = []

    def look(batch: Tensor) -> Tensor:
        seen.append((len(batch), torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return batch

    spread = Spread()
    for _ in range(2):
        spread(look, [torch.rand(16, 1)])
    assert seen == [(4, 1, True)] * 8
    assert torch.get_num_threads() == threads


def test_an_error_of_a_part_comes_through_and_leaves_the_threads_as_they_were(threads: int) -> None:
    def fail(batch: Tensor) -> Tensor:
        raise torch.OutOfMemoryError(f"{len(batch)} rows are too many")

    with pytest.raises(torch.OutOfMemoryError, match="4 rows"):
        Spread()(fail, [torch.rand(16, 1)])
    assert torch.get_num_threads() == threads


def test_nothing_runs_on_after_an_error() -> None:
    ended: list[float] = []

    def work(batch: Tensor) -> Tensor:
        if float(batch[0, 0]) == 0:
            raise torch.OutOfMemoryError
        time.sleep(0.05)
        ended.append(float(batch[0, 0]))
        return batch

    with pytest.raises(torch.OutOfMemoryError):
        Spread()(work, [torch.arange(16.0)[:, None]])
    assert sorted(ended) == [4, 8, 12]
