"""Seeds: a bijection onto uint32, pinned by vectors, with room for every attempt."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcgen.core.seeds import MAX_ATTEMPTS, MAX_ITEMS, item_seed, permute

uint32 = st.integers(0, 2**32 - 1)

# Seeds of stored runs depend on these: a change of one is a change of every picture.
VECTORS = {
    (0, 0, 1): 915212870,
    (0, 1, 1): 1204059577,
    (0, 268435455, 16): 3815665732,
    (20261123, 0, 1): 2621534086,
    (20261123, 255, 3): 3467918943,
    (4294967295, 123456, 2): 3065116318,
}


@pytest.mark.parametrize("salt", [0, 20261123, 2**32 - 1])
def test_every_position_has_its_own_seed(salt: int) -> None:
    # From the whole range, and dense: drawn at random, as many would meet 20 times on average.
    positions = {*range(0, 2**32, 20_011), *range(MAX_ITEMS, MAX_ITEMS + 200_000)}
    seeds = {permute(salt, position) for position in positions}
    assert len(seeds) == len(positions)
    assert 0 <= min(seeds) < max(seeds) < 2**32


@settings(deadline=None)  # other processes may hold the machine
@given(
    uint32,
    st.integers(0, MAX_ITEMS - 1),
    st.integers(1, MAX_ATTEMPTS),
    st.integers(0, MAX_ITEMS - 1),
    st.integers(1, MAX_ATTEMPTS),
)
def test_no_attempt_of_any_item_takes_another_ones_seed(
    salt: int, a: int, attempt_a: int, b: int, attempt_b: int
) -> None:
    same = (a, attempt_a) == (b, attempt_b)
    assert (item_seed(salt, a, attempt_a) == item_seed(salt, b, attempt_b)) is same


def test_seeds_of_a_whole_job_with_all_attempts_are_distinct() -> None:
    seeds = {item_seed(7, index, attempt) for index in range(20_000) for attempt in range(1, 11)}
    assert len(seeds) == 200_000


@pytest.mark.parametrize(("place", "seed"), VECTORS.items())
def test_seeds_are_the_recorded_ones(place: tuple[int, int, int], seed: int) -> None:
    assert item_seed(*place) == seed


def test_neighbours_look_unrelated() -> None:
    seeds = [item_seed(1, index) for index in range(20_000)]
    flipped = [(a ^ b).bit_count() for a, b in pairwise(seeds)]
    # 16 of 32 bits differ on average; the standard error over 20,000 pairs is 0.02.
    assert abs(sum(flipped) / len(flipped) - 16) < 0.1
    for bit in range(32):
        # Each bit is set in half of the seeds; 4 standard errors are 283.
        assert abs(sum(seed >> bit & 1 for seed in seeds) - 10_000) < 283


@pytest.mark.parametrize(("index", "attempt"), [(-1, 1), (MAX_ITEMS, 1), (0, 0), (0, MAX_ATTEMPTS + 1)])
def test_places_outside_the_range_have_no_seed(index: int, attempt: int) -> None:
    with pytest.raises(ValueError, match="no seed"):
        item_seed(0, index, attempt)
