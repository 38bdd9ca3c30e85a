"""Perceptual hashes against scipy's DCT, duplicates against brute force."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import torch
from torch.nn import functional as F

from qcgen.core.types import Severity
from qcgen.qc.phash import find_duplicates, find_near, low_frequencies, luma_64, phash


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


def _brute_force(packed: npt.NDArray[np.uint64], limit: int) -> dict[int, tuple[int, int]]:
    clean: list[int] = []
    near: dict[int, tuple[int, int]] = {}
    for i, row in enumerate(packed):
        bits = np.bitwise_count(packed[clean] ^ row).sum(1) if clean else np.zeros(0)
        if len(bits) and bits.min() <= limit:
            near[i] = (clean[int(bits.argmin())], int(bits.min()))
        else:
            clean.append(i)
    return near


def _clustered(n: int, centres: int, flips: float, seed: int) -> npt.NDArray[np.uint64]:
    rng = np.random.default_rng(seed)
    middle = rng.random((centres, 256)) < 0.5
    bits = middle[rng.integers(0, centres, n)] ^ (rng.random((n, 256)) < flips)
    return np.packbits(bits, axis=1).view(np.uint64)


@pytest.mark.parametrize(
    ("centres", "flips", "limit"), [(2000, 0.0, 0), (300, 0.05, 24), (1, 0.06, 24), (40, 0.1, 40), (3000, 0.04, 15)]
)
def test_near_rows_are_those_of_brute_force(centres: int, flips: float, limit: int) -> None:
    packed = _clustered(2500, centres, flips, seed=limit)
    expected = _brute_force(packed, limit)
    assert expected
    assert find_near(packed, limit) == expected


def test_exact_copies_reject_and_near_ones_ask_for_a_person() -> None:
    zero, one_off, far = "0" * 64, "0" * 63 + "1", "f" * 64
    found = find_duplicates(
        [("a", "s1", zero), ("b", "s2", one_off), ("c", "s1", zero), ("d", "s3", far), ("e", "s2", one_off)]
    )
    assert set(found) == {"b", "c", "e"}
    assert (found["c"].kind, found["c"].severity) == ("exact_duplicate", Severity.BLOCK)
    assert found["c"].evidence == {"neighbour": "a"}
    assert (found["b"].kind, found["b"].severity, found["b"].value) == ("near_duplicate", Severity.WARN, 1.0)
    assert found["b"].evidence == {"neighbour": "a"}
    assert found["e"].evidence == {"neighbour": "b"}


def test_no_images_have_no_duplicates() -> None:
    assert find_duplicates([]) == {}
