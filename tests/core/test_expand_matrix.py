"""A matrix job: addressed by mixed radix, named safely."""

from pathlib import Path

import pytest

from qcgen.core.errors import SpecError
from qcgen.core.sku import sku_problem
from tests.core.jobs import expand_in


def test_a_matrix_is_addressed_by_mixed_radix(tmp_path: Path) -> None:
    expansion = expand_in(
        tmp_path, matrix={"product": ["dress", "t-shirt"], "colour": ["red", "blue", "Off White"]}, images_per_item=2
    )
    items = [expansion.item(index) for index in range(len(expansion))]
    # Both axes have hyphens, so two hyphens join them.
    assert [item.sku for item in items[::2]] == [
        "dress--red",
        "dress--blue",
        "dress--off-white",
        "t-shirt--red",
        "t-shirt--blue",
        "t-shirt--off-white",
    ]
    assert [item.prompt for item in items[8:10]] == ["a photo of a blue t-shirt"] * 2
    assert len({item.seed for item in items}) == 12
    assert len(expansion.prompts()) == 6


def test_matrix_names_never_fall_together(tmp_path: Path) -> None:
    expansion = expand_in(tmp_path, matrix={"product": ["a-b", "a"], "colour": ["c", "b-c"]})
    assert len({expansion.item(index).sku for index in range(4)}) == 4


def test_matrix_names_of_other_scripts_are_safe(tmp_path: Path) -> None:
    expansion = expand_in(tmp_path, matrix={"product": ["платье", "рубашка"], "colour": ["красный"]})
    names = [expansion.item(index).sku for index in range(2)]
    assert len(set(names)) == 2
    assert not any(map(sku_problem, names))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ({}, "has no axes"),
        ({"product": [], "colour": ["red"]}, "items.matrix.product: has no values"),
        (
            {"product": ["Dress", "dress"], "colour": ["red"]},
            "values that give the same name (got 'Dress' and 'dress')",
        ),
        ({"product": ["a\x07"], "colour": ["red"]}, "must not contain control characters"),
        ({"product": [" "], "colour": ["red"]}, "has an empty value"),
        (
            {"product": ["a"], "color": ["red"]},
            "{colour} is not a column of the items (columns: product, color). Did you mean color?",
        ),
        ({"product": ["a"], "colour": ["red"], "sku": ["../x"]}, "items.matrix.sku: must not contain /"),
        ({"product": ["a" * 2000], "colour": ["red"]}, "prompts must have at most 2000 characters"),
    ],
)
def test_a_matrix_mistake_is_told(tmp_path: Path, matrix: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        expand_in(tmp_path, matrix=matrix)
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


def test_a_job_larger_than_the_seeds_is_refused(tmp_path: Path) -> None:
    digits = [str(digit) for digit in range(65)]
    with pytest.raises(SpecError, match="at most 268,435,456 images"):
        expand_in(tmp_path, matrix={"product": digits, "colour": digits, "view": digits}, images_per_item=1000)
