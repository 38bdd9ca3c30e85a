"""What every set metric must do, found by registry: a new file in `qc/metrics` is tested without a line here."""

import math

import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from qcgen.qc.protocol import Columns, SetMetric
from qcgen.qc.registry import make_metrics
from qcgen.qc.resample import resample

NAMES = sorted(make_metrics())
FEATURES = 16


def _columns(n: int, seed: int, *, offset: float = 0.0) -> Columns:
    """Every column there is, drawn from one law; `offset` moves the embeddings and the latents."""
    rng = torch.Generator().manual_seed(seed)

    def unit() -> Tensor:
        drawn = torch.randn((n, FEATURES), generator=rng) + offset + 1
        return torch.nn.functional.normalize(drawn, dim=1)

    right = (torch.rand((n, 3), generator=rng) < 0.7).float()
    return {
        "embeddings": unit(),
        "captions": unit(),
        "caption_ids": torch.randint(9, (n,), generator=rng),
        "product_right": right[:, 0],
        "colour_right": torch.stack([right[:, 1], right[:, 1] * right[:, 2]], dim=1),
        "tone": torch.rand((n, 2), generator=rng),
        "latents": torch.stack(
            [torch.randn((n, 4), generator=rng) + offset, 10 + torch.rand((n, 4), generator=rng)], dim=1
        ),
        "nearest": torch.rand(n, generator=rng).double() + 0.01,
    }


def _give(metric: SetMetric, columns: Columns, *, real: bool, parts: int = 1) -> None:
    for rows in torch.arange(len(columns["nearest"])).chunk(parts):
        metric.update(*(columns[name][rows] for name in metric.reads), real=real)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_finite_and_are_those_that_are_declared(name: str) -> None:
    metric = make_metrics()[name]
    assert metric.name == name
    _give(metric, _columns(400, 1), real=True)
    _give(metric, _columns(250, 2), real=False)
    numbers = metric.compute()
    assert set(numbers) == set(metric.numbers)
    assert all(math.isfinite(value) for value in numbers.values())
    assert set(metric.reference()) <= set(metric.numbers)
    assert metric.least(FEATURES) <= 250


@pytest.mark.parametrize("name", NAMES)
def test_rows_in_parts_count_as_rows_at_once(name: str) -> None:
    found = []
    for parts in (1, 4):
        metric = make_metrics()[name]
        _give(metric, _columns(300, 3), real=True, parts=parts)
        _give(metric, _columns(240, 4), real=False, parts=parts)
        found.append(dict(metric.compute()))
    # Sums of float32 rows in another order, in float64.
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_the_generated_rows_and_keeps_the_real_ones(name: str) -> None:
    metric = make_metrics()[name]
    _give(metric, _columns(300, 5), real=True)
    _give(metric, _columns(240, 6), real=False)
    before = dict(metric.compute())
    metric.reset()
    _give(metric, _columns(240, 7, offset=2.0), real=False)
    assert dict(metric.compute()) != before
    metric.reset()
    _give(metric, _columns(240, 6), real=False)
    assert dict(metric.compute()) == before


@pytest.mark.parametrize("name", NAMES)
def test_its_resampling_repeats_rows_only_where_that_is_declared(name: str) -> None:
    metric = make_metrics()[name]
    for rows in resample(metric.resampling, 200, 0):
        assert (len(rows.unique()) < len(rows)) == (metric.resampling == "bootstrap")


def test_a_metric_of_torchmetrics_fits_as_it_is() -> None:
    own = make_metrics()["frechet"]
    theirs = FrechetInceptionDistance(torch.nn.Flatten(), input_img_size=(1, 1, FEATURES), reset_real_features=False)
    for metric in (own, theirs):
        for columns, real in ((_columns(300, 8), True), (_columns(240, 9, offset=0.3), False)):
            metric.update(columns["embeddings"], real=real)
    # Its result is float32.
    assert own.compute()["frechet"] == pytest.approx(100 * float(theirs.compute()), rel=1e-4)
