"""The hash's small luma is torch's own resampling, at a quarter of its cost."""

import pytest
import torch
from torch.nn.functional import interpolate

from qcgen.qc.phash import luma_64


@pytest.mark.parametrize("size", [(1, 1), (20, 500), (64, 64), (63, 65), (700, 17), (333, 1001)])
def test_luma_is_shrunk_as_torch_shrinks_it(size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, 3, *size), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    luma = (images.double() * weights[:, None, None]).sum(1, keepdim=True)
    wanted = interpolate(luma, size=(64, 64), mode="bilinear", antialias=True, align_corners=False)[:, 0]
    torch.testing.assert_close(luma_64(images), wanted, rtol=0, atol=1e-9)
