"""Phases against numpy's FFT, mirroring and shifting against pictures that were mirrored and shifted."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qcgen.qc.phases import FREQUENCIES, NONE, agree, invariant_words, may_agree, phase_codes
from qcgen.qc.phases import mirrored as mirrored_codes
from qcgen.qc.phash import luma_64
from tests.qc.copies import garments, mirrored, moved, scenes

CODES = arrays(np.uint8, (3, FREQUENCIES), elements=st.integers(0, NONE))


def _codes(images: torch.Tensor) -> npt.NDArray[np.uint8]:
    return phase_codes(luma_64(images))


def test_the_phases_are_those_of_the_windowed_laplacian_by_fft() -> None:
    luma = luma_64(scenes(3)).numpy()
    window = np.hanning(129)[1::2]
    expected = []
    for picture in luma:
        spectrum = np.fft.fft2(-scipy.ndimage.laplace(picture, mode="nearest") * np.outer(window, window))
        # From the middle between the pixels 31 and 32.
        angle = [
            np.angle(spectrum[v, u]) + 2 * np.pi * (v + u) * 31.5 / 64
            for v in range(-12, 13)
            for u in range(13)
            if 0 < v * v + u * u <= 144 and (u > 0 or v > 0)
        ]
        expected.append(np.rint(np.array(angle) / (2 * np.pi) * 15).astype(int) % 15)
    assert np.array_equal(phase_codes(torch.from_numpy(luma)), expected)


@given(CODES)
def test_mirrored_twice_is_the_same(codes: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(mirrored_codes(mirrored_codes(codes)), codes)


@pytest.mark.parametrize("images", [scenes(6), garments(6), scenes(4, side=97)], ids=["scenes", "garments", "odd"])
def test_the_mirrored_codes_are_those_of_the_mirrored_picture(images: torch.Tensor) -> None:
    assert np.array_equal(mirrored_codes(_codes(images)), _codes(mirrored(images)))
    assert not np.array_equal(_codes(images), _codes(mirrored(images)))


@pytest.mark.parametrize(("down", "right"), [(2, 0), (0, -2), (4, 4), (-3, 3), (0, 0)])
def test_the_shift_of_a_moved_picture_is_told(down: int, right: int) -> None:
    images = torch.cat([scenes(4), garments(4)])
    found = agree(_codes(moved(images, down=down, right=right)), _codes(images))
    assert (found.share > 0.85).all()
    # Half of a sixty-fourth is the step: one pixel of 128.
    assert np.abs(found.down * 128 - down).max() <= 1
    assert np.abs(found.right * 128 - right).max() <= 1


def test_other_pictures_agree_at_no_shift() -> None:
    for images in (scenes(8), garments(8)):
        codes = _codes(images)
        first, second = np.tril_indices(8, -1)
        assert agree(codes[first], codes[second]).share.max() < 0.6
        assert agree(mirrored_codes(codes)[first], codes[second]).share.max() < 0.6


def test_what_agrees_is_worth_the_comparison() -> None:
    images = torch.cat([scenes(8), garments(8)])
    codes = _codes(images)
    assert may_agree(_codes(moved(images, down=3, right=-3)), codes).all()
    assert not may_agree(codes, np.roll(codes, 1, axis=0)).any()


def test_a_shift_changes_few_of_the_invariant_bits_and_another_picture_half() -> None:
    images = torch.cat([scenes(8), garments(8)])
    words, copied = (invariant_words(_codes(one)) for one in (images, moved(images, down=3, right=3)))
    assert np.bitwise_count(words ^ copied).sum(1).max() < 230
    assert np.bitwise_count(words ^ np.roll(words, 1, axis=0)).sum(1).min() > 260


def test_contrast_changes_no_phase_and_a_frequency_that_is_not_there_agrees_with_nothing() -> None:
    luma = luma_64(scenes(3))
    assert np.array_equal(phase_codes(luma), phase_codes(0.5 * luma + 40))
    flat = phase_codes(torch.full((2, 64, 64), 90.0, dtype=torch.float64))
    assert (flat == NONE).all()
    assert agree(flat[:1], flat[1:]).share.tolist() == [0.0]
    stripes = (torch.arange(64, dtype=torch.float64) % 16 * 9)[None, None].expand(1, 64, 64).contiguous()
    assert 0 < (phase_codes(stripes) == NONE).mean() < 1


def test_codes_do_not_depend_on_their_batch() -> None:
    images = scenes(5)
    assert np.array_equal(_codes(images), np.concatenate([_codes(images[i : i + 1]) for i in range(5)]))


def test_no_rows_agree_with_none() -> None:
    nothing = np.zeros((0, FREQUENCIES), dtype=np.uint8)
    assert len(agree(nothing, nothing).share) == len(may_agree(nothing, nothing)) == 0
