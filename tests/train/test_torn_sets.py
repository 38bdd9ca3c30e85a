"""Image sets that are not whole are refused before anything is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qcgen.core.errors import SpecError
from qcgen.data.imageset import read_image_set, write_image_set


def _pack(path: Path, **changes: object) -> None:
    images = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_image_set(
        path,
        images,
        captions=["a photo of a red hat"] * 4,
        products=["hat"] * 4,
        colours=["red"] * 4,
        ids=list("abcd"),
        held_out=torch.tensor([True, False, False, False]),
    )
    with np.load(path) as packed:
        fields = {name: packed[name] for name in packed.files}
    np.savez(path, **{**fields, **changes})


@pytest.mark.parametrize("field", ["caption", "colour", "colour_share", "id"])
def test_a_field_with_another_number_of_rows_is_named(field: str, tmp_path: Path) -> None:
    _pack(tmp_path / "set.npz")
    assert len(read_image_set(tmp_path / "set.npz")) == 4
    with np.load(tmp_path / "set.npz") as packed:
        short = packed[field][:3]
    _pack(tmp_path / "set.npz", **{field: short})
    with pytest.raises(SpecError, match=rf"4 in all \(got {field} \[3\]\). Cure: pack the set again"):
        read_image_set(tmp_path / "set.npz")


def test_no_advice_to_load_pickles_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_text("nothing")
    with pytest.raises(SpecError, match="cannot be read") as caught:
        read_image_set(tmp_path / "set.npz")
    assert "allow_pickle" not in str(caught.value)
