"""NaN and infinity in what the decoder gives, looked for before the cast to uint8 turns them into black."""

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.types import Finding, Severity


def find_non_finite(images: Float[Tensor, "b 3 h w"]) -> list[Finding | None]:
    """One blocking finding for each picture with a non-finite element, None for the others."""
    share = (~torch.isfinite(images)).flatten(1).double().mean(1)
    return [_finding(value) if value > 0 else None for value in share.tolist()]


def _finding(share: float) -> Finding:
    return Finding(
        kind="non_finite",
        severity=Severity.BLOCK,
        message=f"non_finite: {share:.2%} of the decoder's output is NaN or infinite (limit 0).",
        value=share,
        threshold=0.0,
    )
