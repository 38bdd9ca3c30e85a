"""Findings of repeated pictures, from fingerprints of now and of before."""

import numpy as np
import PIL.Image
import pytest
import torch

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Severity
from qcgen.qc.duplicates import DUPLICATES, find_duplicates, tell_old
from qcgen.qc.fingerprint import (
    fingerprints,
    has_traits,
    mean_chroma,
    read_hashes,
    read_traits,
    recoloured,
    written,
)
from qcgen.qc.phases import NONE, phase_codes
from qcgen.qc.phash import luma_64, phash
from tests.qc.copies import garments, mirrored, moved, scenes


def test_a_fingerprint_begins_with_the_hash_and_gives_its_phases_back() -> None:
    images = torch.cat([scenes(3), garments(3)])
    prints = fingerprints(images)
    assert [print_[:64] for print_ in prints] == phash(images)
    assert (read_traits(prints).codes == phase_codes(luma_64(images))).all()
    assert read_hashes(prints).tobytes().hex() == "".join(phash(images))
    assert all(len(print_) == 292 and has_traits(print_) for print_ in prints)


def test_pictures_of_several_sizes_written_together_have_the_fingerprints_that_each_has_alone() -> None:
    sizes = [scenes(2), garments(3)[:, :, :96, 8:], scenes(2)[:, :, 4:, :]]
    chroma = [each for images in sizes for each in mean_chroma(images)]
    together = written(torch.cat([luma_64(images) for images in sizes]), chroma)
    assert together == [fingerprints(one[None])[0] for images in sizes for one in images]


def test_the_mean_colour_of_a_large_picture_is_exact() -> None:
    image = torch.full((1, 3, 900, 1200), 255, dtype=torch.uint8)
    image[0, :, 0, 0] = 0
    sums = image.long().flatten(2).sum(2)[0]
    blue = 0.5 * sums[2] - 0.168736 * sums[0] - 0.331264 * sums[1]
    assert mean_chroma(image)[0][0] == round(16 * (128 + float(blue) / (900 * 1200)))


def test_what_another_version_wrote_has_no_phases() -> None:
    (print_,) = fingerprints(scenes(1))
    assert not has_traits(print_[:64])
    assert not has_traits(print_[:64] + "p2" + print_[66:])
    assert not has_traits(print_[:-1])


_HEAD = "0f" * 32


@pytest.mark.parametrize(
    "tail",
    [
        "p1",
        "p1" + "g" * 226,
        "p1" + "é" * 226,
        "p1" + "A" * 226,
        "p1" + "0" * 225,
        "p1" + "0" * 226 + "\n",
        "p1 " + "0" * 225,
        "p1" + "٣" * 226,
        "p1" + "0" * 225 + "\x00",
        "P1" + "0" * 226,
        "\ud800",
        "'; DROP TABLE attempt; --",
    ],
)
def test_a_damaged_tail_counts_as_unknown_and_the_hash_still_serves(tail: str) -> None:
    (whole,) = fingerprints(garments(1))
    prints = [whole, _HEAD + tail]
    assert not has_traits(prints[1])
    traits = read_traits(prints)
    assert (traits.codes[1] == NONE).all()
    assert (traits.codes[0] == phase_codes(luma_64(garments(1)))[0]).all()
    assert read_hashes(prints)[1].tobytes().hex() == _HEAD
    rows = [("a", "s1", whole), ("b", "s2", _HEAD), ("c", "s3", _HEAD + tail)]
    assert {name: one.evidence["neighbour"] for name, one in find_duplicates(rows).items()} == {"c": "b"}
    assert tell_old(rows)[0].value == 2.0


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "0" * 63,
        "g" * 64,
        "0" * 63 + " ",
        "é" * 64,
        "٣" * 64,
        "\ud800" * 64,
        " " + _HEAD,
        "\n" + _HEAD,
        "0x" + "0" * 62,
        "\x1b[2J" + _HEAD,
        "0" * 63 + "p1" + "0" * 226,
        "F" * 64,
    ],
)
def test_a_damaged_hash_names_its_image(damaged: str) -> None:
    (whole,) = fingerprints(garments(1))
    with pytest.raises(IntegrityError, match=r"^image b-7: .* must begin with 64 hex digits .* Cure: ") as told:
        find_duplicates([("a", "s1", whole), ("b-7", "s2", damaged), ("c", "s3", whole)])
    assert str(told.value).isprintable()
    assert str(told.value).isascii()
    with pytest.raises(IntegrityError, match=r"^image 1: "):
        read_hashes([whole, damaged])


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


def test_shifted_and_mirrored_copies_say_so() -> None:
    image = garments(1)
    copies = [image, moved(image, down=-4, right=4), mirrored(image), mirrored(moved(image, down=-4, right=4))]
    prints = fingerprints(torch.cat(copies))
    found = find_duplicates([(name, name, print_) for name, print_ in zip("abcd", prints, strict=True)])
    assert {name: one.evidence["relation"] for name, one in found.items()} == {
        "b": "shifted",
        "c": "mirrored",
        "d": "mirrored, shifted",
    }
    assert all((one.severity, one.evidence["neighbour"]) == (Severity.WARN, "a") for one in found.values())
    assert found["b"].message.startswith(
        "near_duplicate: the same picture as image a, moved by about 3.1% right and 3.1% up; the phases agree to 0."
    )
    assert "the mirror image of image a, moved by about 3.1% left and 3.1% up;" in found["d"].message
    assert found["c"].message == ("near_duplicate: the mirror image of image a; the phases agree to 1.00 (limit 0.85).")
    assert found["c"].value == 1.0


def test_old_fingerprints_are_compared_by_their_hash_and_it_is_told() -> None:
    images = torch.cat([scenes(1), moved(scenes(1), down=3, right=3), (0.98 * scenes(1).float()).to(torch.uint8)])
    new = [(name, name, print_) for name, print_ in zip("abc", fingerprints(images), strict=True)]
    old = [(name, digest, print_[:64]) for name, digest, print_ in new]
    assert {name: one.evidence.get("relation") for name, one in find_duplicates(new).items()} == {
        "b": "shifted",
        "c": None,
    }
    assert set(find_duplicates(old)) == set(find_duplicates([*old[:1], *new[1:]])) == {"c"}
    assert tell_old(new) == ()
    (told,) = tell_old([*old[:2], new[2]])
    assert (told.kind, told.severity, told.value) == (DUPLICATES, Severity.INFO, 2.0)
    assert "2 of 3 pictures" in told.message
    assert "Cure" in told.message


def test_without_an_agreement_moved_and_mirrored_copies_are_no_concern() -> None:
    image = garments(1)
    images = torch.cat([image, mirrored(image), image])
    prints = [(name, name, print_) for name, print_ in zip("abc", fingerprints(images), strict=True)]
    assert set(find_duplicates(prints, agreement=None)) == {"c"}
    old = [(name, digest, print_[:64]) for name, digest, print_ in prints]
    assert tell_old(old, agreement=None) == ()


def test_the_colour_is_the_pictures_mean() -> None:
    images = torch.cat([scenes(2), garments(2)])
    pictures = [PIL.Image.fromarray(one.permute(1, 2, 0).numpy()).convert("YCbCr") for one in images]
    expected = [np.asarray(one, dtype=float).mean((0, 1))[1:] - 128 for one in pictures]
    # Pillow rounds each pixel to a code first.
    np.testing.assert_allclose(read_traits(fingerprints(images)).chroma, expected, atol=0.6)


def test_brightness_is_no_other_colour() -> None:
    red, blue = np.array([[-10.0, 30.0]]), np.array([[30.0, -10.0]])
    assert recoloured(red, 1.2 * red)[0] <= 0
    assert recoloured(red, blue)[0] == recoloured(blue, red)[0] > 40
    assert recoloured(0 * red, 0 * red)[0] == 0


def test_no_images_have_no_duplicates() -> None:
    assert find_duplicates([]) == {}
    assert tell_old([]) == ()
