"""Runs a detector from outside: what it does wrong costs its score and not the run."""

import torch

from qcgen.qc.protocol import Batch, Detector, Scores
from qcgen.qc.scores import unscored

FAILED = "plugin_failed"


def score_guarded(detector: Detector, batch: Batch) -> Scores:
    """Its scores, or no value for any picture where it raises or breaks the protocol."""
    try:
        scores = detector.score(batch)
        return scores if _keeps(detector, scores, len(batch.images)) else unscored(batch, FAILED)
    except Exception:  # code of others may raise anything
        return unscored(batch, FAILED)


def _keeps(detector: Detector, scores: Scores, n: int) -> bool:
    low, high = detector.range
    values = scores.values
    return (
        values.shape == (n,)
        and len(scores.reasons) == n
        and len(scores.evidence) in (0, n)
        and bool(torch.isfinite(values).all())
        and all(
            low <= value <= high
            for value, reason in zip(values.tolist(), scores.reasons, strict=True)
            if reason is None
        )
    )
