"""Colour arithmetic against scikit-image, and the names against the labels of real photos."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from qcgen.qc.colour import NAMES, delta_e, distance_to_names, known_name, name_codes, to_lab


def _random_rgb(n: int) -> torch.Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_lab_agrees_with_scikit_image() -> None:
    rgb = torch.cat([_random_rgb(2000), torch.eye(3, dtype=torch.float64), torch.zeros(1, 3), torch.ones(1, 3)])
    # Both use the same published constants; what is left is the rounding of a cube root.
    np.testing.assert_allclose(to_lab(rgb).numpy(), rgb2lab(rgb.numpy()), atol=1e-6)


def test_ciede2000_agrees_with_scikit_image() -> None:
    lab = to_lab(torch.cat([_random_rgb(4000), torch.zeros(2, 3), torch.ones(2, 3)]))
    first, second = lab[0::2], lab[1::2]
    expected = deltaE_ciede2000(first.numpy(), second.numpy())
    # float64 throughout; hue means that straddle 180 degrees lose a few digits.
    np.testing.assert_allclose(delta_e(first, second).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "grey"),
        ((220, 20, 30), "red"),
        ((255, 165, 0), "orange"),
        ((255, 225, 50), "yellow"),
        ((40, 140, 50), "green"),
        ((0, 128, 128), "teal"),
        ((60, 110, 200), "blue"),
        ((20, 25, 70), "navy"),
        ((120, 40, 120), "purple"),
        ((245, 160, 190), "pink"),
        ((100, 65, 35), "brown"),
        ((215, 195, 165), "beige"),
    ],
)
def test_typical_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    lab = to_lab(torch.tensor([rgb], dtype=torch.float64) / 255)
    assert NAMES[int(name_codes(lab)[0])] == name
    assert float(distance_to_names(lab, [name])[0]) == 0


def test_the_wrong_name_is_far_and_the_next_shade_is_near() -> None:
    red = to_lab(torch.tensor([[220, 20, 30]], dtype=torch.float64) / 255)
    # Red to blue is among the largest differences there are; red's range touches brown and pink.
    assert float(distance_to_names(red, ["blue"])[0]) > 35
    assert float(distance_to_names(red, ["pink"])[0]) < float(distance_to_names(red, ["blue"])[0])


def test_only_names_with_a_range_are_known() -> None:
    asked = ("Navy", " gray", "light blue", "", None)
    assert [known_name(text) for text in asked] == ["navy", "grey", None, None, None]
