"""Building `Scores`: values in range on the CPU, reasons where there is no value."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qcgen.qc.protocol import Batch, Scores


def scored(values: Float[Tensor, " b"], limits: tuple[float, float], **missing: Bool[Tensor, " b"]) -> Scores:
    """Scores clamped to `limits`; each keyword is a reason code with the pictures it holds for, first match wins."""
    on_cpu = values.detach().double().cpu()
    reasons: list[str | None] = [None] * len(on_cpu)
    for reason, holds in missing.items():
        for i in torch.nonzero(holds.cpu()).flatten().tolist():
            reasons[i] = reasons[i] or reason
    return with_reasons(on_cpu.clamp(*limits), reasons)


def with_reasons(
    values: Float[Tensor, " b"], reasons: Sequence[str | None], evidence: Sequence[Mapping[str, str]] = ()
) -> Scores:
    """Scores with 0 wherever a reason is given."""
    absent = torch.tensor([reason is not None for reason in reasons], dtype=torch.bool)
    return Scores(torch.where(absent, 0.0, values.double().cpu()), tuple(reasons), tuple(evidence))


def unscored(batch: Batch, reason: str) -> Scores:
    """No value for any picture of the batch, all for one reason."""
    n = len(batch.images)
    return Scores(torch.zeros(n, dtype=torch.float64), (reason,) * n)


def short_side(batch: Batch) -> int:
    return min(batch.images.shape[-2:])
