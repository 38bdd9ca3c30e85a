"""The strongest of many values are what a full sort finds, ties included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcgen.qc.strongest import strongest


def _by_sorting(values: torch.Tensor, k: int, least: float) -> list[int]:
    limit = max(float(values.sort(descending=True).values[min(k, len(values)) - 1]), least)
    return [i for i, value in enumerate(values.tolist()) if value >= limit]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 20_000), levels=st.integers(1, 3000), least=st.integers(0, 60))
def test_strongest_are_those_of_a_full_sort(seed: int, n: int, levels: int, least: int) -> None:
    drawn = torch.randint(0, levels, (n,), generator=torch.Generator().manual_seed(seed)).float() / 7
    k = max(1, n // 100)
    assert strongest(drawn, k, least=float(least)).tolist() == _by_sorting(drawn, k, float(least))


@pytest.mark.parametrize("place", ["first", "last", "between the sampled"])
def test_strong_values_that_the_sample_misses_or_overrates_are_found(place: str) -> None:
    values = torch.zeros(100_000)
    at = {"first": torch.arange(1000), "last": torch.arange(99_000, 100_000), "between the sampled": None}[place]
    chosen = torch.arange(1, 100_000, 24)[:1000] if at is None else at
    values[chosen] = torch.arange(1.0, 1001.0)
    assert strongest(values, 1000, least=0.5).tolist() == chosen.tolist()
    assert strongest(values, 10, least=0.5).tolist() == chosen[-10:].tolist()
