"""Measures against closed forms and against torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from qcgen.pipeline.evaluate import compare, frechet_distance, nearest_distances, precision_recall


def _cloud(n: int, shift: float, seed: int, d: int = 8) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_frechet_distance_of_shifted_gaussians_is_the_squared_shift() -> None:
    # 20,000 samples of 8 numbers: the bias d^2/n and the noise of the means stay below a per cent of 8 * 2^2.
    assert frechet_distance(_cloud(20000, 0, 1), _cloud(20000, 2, 2)) == pytest.approx(100 * 32, rel=0.02)


def test_frechet_distance_is_that_of_torchmetrics() -> None:
    class Identity(torch.nn.Module):
        num_features = 8

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.double().mean((2, 3))[:, :8]

    real, fake = _cloud(300, 0, 3), _cloud(300, 0.3, 4) * 1.4
    metric = FrechetInceptionDistance(feature=Identity(), input_img_size=(8, 1, 1), normalize=True).set_dtype(
        torch.float64
    )
    metric.update(torch.from_numpy(real)[:, :, None, None], real=True)
    metric.update(torch.from_numpy(fake)[:, :, None, None], real=False)
    assert frechet_distance(real, fake) == pytest.approx(100 * float(metric.compute()), rel=1e-6)


def test_a_collapsed_cloud_keeps_precision_and_loses_recall() -> None:
    real = _cloud(400, 0, 5, d=2)
    precision, recall = precision_recall(real, _cloud(400, 0, 6, d=2) * 0.05)
    assert precision > 0.95
    assert recall < 0.1


def test_compare_states_errors_that_cover_a_repetition() -> None:
    real = _cloud(1000, 0, 7)
    one, other = compare(real, _cloud(1000, 0.2, 8)), compare(real, _cloud(1000, 0.2, 9))
    for name in ("frechet", "precision", "recall"):
        error = np.hypot(one[name].error, other[name].error)
        assert error > 0
        assert abs(one[name].value - other[name].value) < 5 * error


def test_copies_have_nearest_distance_zero() -> None:
    real = _cloud(50, 0, 10)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    distance = nearest_distances(np.concatenate([real[:5], -real[:5]]), real)
    assert distance[:5] == pytest.approx(0, abs=1e-12)
    assert bool((distance[5:] > 0.1).all())
