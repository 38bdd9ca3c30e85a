"""What the checks say of a batch that was just made."""

from collections.abc import Sequence

import torch
from torch import Tensor

from qcgen.core.types import Finding, Item, Measure, Verdict
from qcgen.pipeline.embeddings import EmbeddingKeeper
from qcgen.qc.fingerprint import fingerprints
from qcgen.qc.groups import with_size
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy


def assess(
    inspector: Inspector,
    policy: Policy,
    keeper: EmbeddingKeeper | None,
    images: Tensor,
    items: Sequence[Item],
    extra: Sequence[Finding],
) -> list[tuple[tuple[Measure, ...], Verdict, str]]:
    """Measures, verdict and fingerprint of each picture; what the encoder saw goes to the keeper."""
    with torch.inference_mode():
        measured, embeddings = inspector.look(images, [item.prompt for item in items], [item.fields for item in items])
        hashes = fingerprints(images)
    if keeper is not None and embeddings is not None:
        keeper.hold(items, embeddings)
    return [
        (measures, judge(measures, policy, extra=extra, fields=with_size(item.fields, *images.shape[:1:-1])), digits)
        for item, measures, digits in zip(items, measured, hashes, strict=True)
    ]
