"""Pictures of the wrong thing: one field changes, by as much as asked for."""

import torch

from qcgen.qc.colour import NAMES, delta_e, from_lab, swatch, to_lab
from qcgen.qc.swaps import swap

VOCABULARY = {"product": ("dress", "hat", "shirt"), "colour": NAMES}
FIELDS = {"product": "hat", "colour": "red"}


def test_the_wrong_product_is_another_one_and_the_same_at_every_severity() -> None:
    found = [swap("wrong_product", FIELDS, VOCABULARY, key="a", severity=severity) for severity in (1, 3, 5)]
    assert found[0] == found[1] == found[2]
    assert found[0] is not None
    assert found[0]["product"] in {"dress", "shirt"}
    assert found[0]["colour"] == "red"
    drawn = {swap("wrong_product", FIELDS, VOCABULARY, key=str(i), severity=1)["product"] for i in range(30)}  # type: ignore[index]
    assert drawn == {"dress", "shirt"}


def test_the_wrong_colour_is_at_least_so_far_away() -> None:
    distances = []
    for severity, least in ((1, 10), (3, 25), (5, 60)):
        found = swap("wrong_colour", FIELDS, VOCABULARY, key="a", severity=severity)
        assert found is not None
        distances.append(float(delta_e(swatch("red"), swatch(found["colour"]))))
        assert distances[-1] >= least
    assert distances == sorted(distances)


def test_without_the_field_or_another_value_there_is_no_swap() -> None:
    assert swap("wrong_product", {}, VOCABULARY, key="a", severity=1) is None
    assert swap("wrong_product", FIELDS, {"product": ("hat",)}, key="a", severity=1) is None
    assert swap("wrong_colour", {"colour": "tartan"}, VOCABULARY, key="a", severity=1) is None


def test_lab_and_back_is_the_same_colour() -> None:
    axis = torch.linspace(0, 1, 9, dtype=torch.float64)
    rgb = torch.cartesian_prod(axis, axis, axis)
    # The constants of the two pieces of each curve are rounded to six digits.
    torch.testing.assert_close(from_lab(to_lab(rgb)), rgb, rtol=0, atol=2e-4)
