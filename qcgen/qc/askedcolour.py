"""The colour that was asked for, and whether a picture can be held against it."""

import torch

from qcgen.qc.colour import NAMES, known_name
from qcgen.qc.protocol import Batch
from qcgen.qc.scores import short_side

_SMALLEST = 16
_SCARCE = 0.1


def asked_names(batch: Batch) -> list[str]:
    """One of NAMES for each picture: that of its field `colour`, some name where `why_unjudged` has a reason."""
    return [known_name(fields.get("colour")) or NAMES[0] for fields in batch.fields]


def why_unjudged(batch: Batch) -> list[str | None]:
    """For each picture why its colour cannot be judged, None where it can."""
    if short_side(batch) < _SMALLEST:
        return ["too_small"] * len(batch.fields)
    clusters = batch.clusters
    rows = torch.arange(len(batch.fields))
    scarce = (clusters.middle[rows, clusters.chosen] < _SCARCE).tolist()
    return [_reason(fields.get("colour"), few) for fields, few in zip(batch.fields, scarce, strict=True)]


def _reason(asked: str | None, scarce: bool) -> str | None:
    if not asked:
        return "not_applicable"
    if known_name(asked) is None:
        return "unknown_colour"
    return "no_foreground" if scarce else None
