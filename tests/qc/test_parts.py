"""A batch goes over the cores in parts, and no score knows it."""

from collections.abc import Iterator

import pytest
import torch

from qcgen.core.types import Measure
from qcgen.qc.inspect import Inspector
from qcgen.qc.parts import over_cores, parts_of
from qcgen.qc.policy import build_policy
from qcgen.qc.profile import Profile
from qcgen.qc.protocol import Batch

_NAMES = ("blur", "ringing", "banding", "noise", "detail", "background", "border_crop", "colour_match", "blank")
_COLOURS = [{"colour": "red"}, {}, {"colour": "teal"}, {"colour": "plaid"}, {}]


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


def _pictures() -> torch.Tensor:
    torch.manual_seed(3)
    coarse = torch.nn.functional.interpolate(torch.rand(5, 3, 20, 20) * 255, size=(600, 520), mode="bilinear")
    return (coarse + torch.randn(5, 3, 600, 520) * 4).clamp(0, 255).to(torch.uint8)


def _inspector() -> Inspector:
    whole = {"version": 1, "name": "t", "alpha": 0.02, "near_duplicate_bits": 24, "calibration": None}
    rules = {name: {"importance": 0} for name in _NAMES}
    return Inspector(build_policy(Profile.model_validate({**whole, "detectors": rules}), None, sha256=""), None)


def test_scores_in_parts_are_those_of_each_picture_alone(threads: int) -> None:
    pictures, inspector = _pictures(), _inspector()
    assert len(parts_of(Batch(pictures, [""] * 5, _COLOURS))) == 2
    together: list[tuple[Measure, ...]] = inspector.measure(pictures, [""] * 5, _COLOURS)
    alone = [inspector.measure(pictures[i : i + 1], [""], [_COLOURS[i]])[0] for i in range(5)]
    assert together == alone


def test_a_part_that_fails_ends_the_batch_with_its_error(threads: int) -> None:
    def fail(part: Batch) -> int:
        raise ArithmeticError(f"{len(part.images)}")

    with pytest.raises(ArithmeticError, match=r"^3$"):
        over_cores(fail, parts_of(Batch(_pictures(), [""] * 5, _COLOURS)))
