"""Non-finite decoder output is found before the cast hides it."""

import torch

from qcgen.core.types import Severity
from qcgen.qc.finite import find_non_finite


def test_only_the_pictures_with_nan_or_infinity_are_blocked() -> None:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images[1, 0, 0, 0] = torch.nan
    images[3, :, :4] = torch.inf
    found = find_non_finite(images)
    assert [finding is not None for finding in found] == [False, True, False, True]
    assert found[1] is not None
    assert found[3] is not None
    assert (found[1].kind, found[1].severity) == ("non_finite", Severity.BLOCK)
    assert found[3].value == 0.5
