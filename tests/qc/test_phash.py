"""Perceptual hashes against scipy's DCT."""

import numpy as np
import pytest
import scipy.fft
import torch
from torch.nn import functional as F

from qcgen.qc.phash import low_frequencies, luma_64, phash


def _pictures(n: int, side: int = 128) -> torch.Tensor:
    coarse = torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(5))
    return (F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def _distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_the_dct_agrees_with_scipy() -> None:
    luma = luma_64(_pictures(4))
    expected = scipy.fft.dctn(luma.numpy(), axes=(1, 2), norm="ortho")[:, :16, :16]
    # Both in float64 on values up to 16,000.
    np.testing.assert_allclose(low_frequencies(luma).numpy(), expected, atol=1e-6)


def test_the_hash_is_the_signs_against_the_median() -> None:
    images = _pictures(3)
    low = scipy.fft.dctn(luma_64(images).numpy(), axes=(1, 2), norm="ortho")[:, :16, :16].reshape(3, -1)
    bits = low > np.median(low, axis=1, keepdims=True)
    assert phash(images) == [np.packbits(row).tobytes().hex() for row in bits]


def test_a_hash_has_64_digits_and_does_not_depend_on_its_batch() -> None:
    images = _pictures(5)
    together = phash(images)
    assert all(len(digits) == 64 for digits in together)
    assert together == [phash(images[i : i + 1])[0] for i in range(5)]


def test_small_changes_move_few_bits_and_other_pictures_differ() -> None:
    images = _pictures(6)
    brighter = (images.float() * 0.9 + 20).round().to(torch.uint8)
    plain, changed = phash(images), phash(brighter)
    assert all(_distance(a, b) <= 12 for a, b in zip(plain, changed, strict=True))
    # Unrelated hashes differ in 128 of 256 bits with a deviation of 8 or a little more.
    assert min(_distance(plain[i], plain[j]) for i in range(6) for j in range(i)) > 60


@pytest.mark.parametrize("side", [1, 2, 30])
def test_tiny_and_constant_pictures_have_hashes(side: int) -> None:
    images = torch.full((2, 3, side, side), 90, dtype=torch.uint8)
    first, second = phash(images)
    assert first == second == "80" + "0" * 62
