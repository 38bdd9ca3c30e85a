"""How likely a picture's own value of a field is, for the detectors that ask which value it shows."""

import torch

from qcgen.core.evidence import Bar
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored, unscored

RANGE = (0.0, 100.0)
_SHOWN = 5


def surprises(batch: Batch, field: str) -> Scores:
    """Minus the logarithm of the probability of the item's own value: 0.69 where it is one half.

    `not_applicable` without a classifier of this field, and for items without a value that it knows.
    """
    if field not in batch.classified:
        return unscored(batch, "not_applicable")
    found = batch.classified[field]
    at = torch.tensor([place or 0 for place in found.own])
    absent = torch.tensor([place is None for place in found.own])
    return scored(-found.logs.gather(1, at[:, None])[:, 0], RANGE, not_applicable=absent)


def likeliest(batch: Batch, index: int, field: str) -> tuple[Bar, ...]:
    """The five values that the classifier finds likeliest and the picture's own one, by probability."""
    found = batch.classified[field]
    chances, own = found.logs[index].exp().tolist(), found.own[index]
    order = sorted(range(len(chances)), key=lambda place: -chances[place])
    shown = order[:_SHOWN] + [place for place in order[_SHOWN:] if place == own]
    return tuple(Bar(found.names[place], round(chances[place], 4), place == own) for place in shown)
