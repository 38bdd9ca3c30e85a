"""Standard errors against the formula for a mean and against the spread of independent repetitions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from qcgen.qc.metrics.frechet import Frechet
from qcgen.qc.metrics.kid import KernelDistance
from qcgen.qc.metrics.manifold import Manifold
from qcgen.qc.protocol import Resampling, SetMetric
from qcgen.qc.resample import BLOCKS, GROUPS, repeat, resample, standard_error


@pytest.mark.parametrize("how", ["bootstrap", "jackknife", "blocks"])
def test_the_error_of_a_mean_is_that_of_the_formula(how: Resampling) -> None:
    values = torch.from_numpy(np.random.default_rng(1).gamma(2.0, size=1000))
    again = repeat(how, 1000, 0, lambda rows: {"mean": float(values[rows].mean())})["mean"]
    # 50, 20 and 10 repetitions know a deviation to 1 / sqrt(2 (m - 1)): 10, 16 and 24 %; three times that.
    tolerance = {"bootstrap": 0.3, "jackknife": 0.5, "blocks": 0.7}[how]
    assert standard_error(how, again) == pytest.approx(float(values.std()) / 1000**0.5, rel=tolerance)


def test_groups_and_blocks_are_disjoint_and_hold_every_row() -> None:
    left_out = [set(range(203)) - set(rows.tolist()) for rows in resample("jackknife", 203, 0)]
    blocks = [set(rows.tolist()) for rows in resample("blocks", 203, 0)]
    for parts, count in ((left_out, GROUPS), (blocks, BLOCKS)):
        assert len(parts) == count
        assert sum(map(len, parts)) == len(set.union(*parts)) == 203


def test_the_same_seed_and_count_give_the_same_rows() -> None:
    for how in ("bootstrap", "jackknife", "blocks"):
        first, second = resample(how, 100, 5), resample(how, 100, 5)
        assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("make", [Frechet, KernelDistance, Manifold])
def test_the_stated_error_is_the_spread_of_independent_sets(make: Callable[[], SetMetric]) -> None:
    real = _set(300, 1000)
    values: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    for seed in range(24):
        made, metric = 0.9 * _set(200, seed) + 0.15, make()
        metric.update(real, real=True)

        def compute(rows: Tensor, metric: SetMetric = metric, made: Tensor = made) -> dict[str, float]:
            metric.reset()
            metric.update(made[rows], real=False)
            return dict(metric.compute())

        for name, value in compute(torch.arange(200)).items():
            values.setdefault(name, []).append(value)
        for name, again in repeat(metric.resampling, 200, seed, compute).items():
            errors.setdefault(name, []).append(standard_error(metric.resampling, again))
    for name, found in values.items():
        # 24 sets know their spread to 15 %, and neighbour counts are not smooth: within a factor of 1.8. Blocks of 20
        # have a variance of their own beyond 1 / n, so KID's error may be up to three times too large, never too small.
        ratio = float(np.mean(errors[name])) / float(np.std(found, ddof=1))
        assert 1 / 1.8 < ratio < (3 if make is KernelDistance else 1.8), (name, ratio)


def _set(n: int, seed: int) -> Tensor:
    return torch.randn((n, 4), generator=torch.Generator().manual_seed(seed)).double()
