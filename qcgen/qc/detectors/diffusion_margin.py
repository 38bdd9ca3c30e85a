"""Would the teacher rather have made another product of this picture?"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch

from qcgen.core.evidence import Bar
from qcgen.models.denoiser import Denoiser
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import scored
from qcgen.qc.zeroshot import classes_of

_DRAWS = 4
_OTHERS = 6
_QUANTILE = 0.95
"""Almost pure noise: there the caption decides the outline, which is where one-step students fail."""


class DiffusionMargin:
    """How much worse the profile's `teacher` denoises the picture under other products' captions than under its own.

    Mean over up to six other products of the catalogue, put into the prompt instead of the picture's own. Near zero
    or below: the outline is that of no product, or of another one. Costs 28 calls of the teacher a picture, so it is
    for a review queue rather than for every night. `not_applicable` without a `teacher`, without the field `product`
    (or where the prompt does not name it), with fewer than two products, and for pictures that are not square.

    Source: Li et al. 2023, "Your Diffusion Model is Secretly a Zero-Shot Classifier", arXiv:2303.16203.
    """

    name: ClassVar[str] = "diffusion_margin"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "squared latent deviations"
    range: ClassVar[tuple[float, float]] = (-10.0, 10.0)
    higher_is_better: ClassVar[bool] = True
    whole_batch: ClassVar[bool] = True
    learned: ClassVar[bool] = True
    slow: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        # One by one: a network's rounding depends on how many pictures it is given.
        found = [_errors(batch, index) for index in range(len(batch.images))]
        values = [0.0 if errors is None else _margin(list(errors.values())) for errors in found]
        absent = torch.tensor([errors is None for errors in found])
        return scored(torch.tensor(values, dtype=torch.float64), self.range, not_applicable=absent)

    def explain(self, batch: Batch, index: int) -> Evidence:
        errors = _errors(batch, index) or {}
        asked = batch.fields[index].get("product", "")
        return Evidence(
            f"The teacher's error when it takes the picture for each of these products; {asked} was asked for.",
            bars=tuple(
                Bar(name, round(error, 4), name == asked)
                for name, error in sorted(errors.items(), key=lambda one: one[1])
            ),
        )


def _margin(errors: Sequence[float]) -> float:
    own, *others = errors
    return sum(others) / len(others) - own


def _errors(batch: Batch, index: int) -> Mapping[str, float] | None:
    """By product, the picture's own first; None where the question makes no sense."""
    teacher, own = batch.settings.teacher, batch.fields[index].get("product", "")
    others = _spread([name for name in classes_of(batch, "product") if name != own])
    height, width = batch.images.shape[-2:]
    if teacher is None or not own or not _named(own).search(batch.prompts[index]) or not others or height != width:
        return None
    before, *after = _named(own).split(batch.prompts[index])
    captions = [name.join((before, *after)) for name in (own, *others)]
    model = _denoiser(teacher.folder, teacher.digest, str(batch.images.device))
    errors = model.errors(batch.images[index : index + 1], captions, draws=_DRAWS, quantile=_QUANTILE)
    return dict(zip((own, *others), errors.tolist(), strict=True))


def _named(product: str) -> re.Pattern[str]:
    """As a word of its own: no hat in "that"."""
    return re.compile(rf"(?<!\w){re.escape(product)}(?!\w)")


def _spread(names: Sequence[str]) -> list[str]:
    """At most six, evenly over the catalogue's own order."""
    places = torch.linspace(0, len(names) - 1, min(_OTHERS, len(names))).round().int().tolist()
    return [names[place] for place in places]


@lru_cache(maxsize=2)
def _denoiser(folder: Path, digest: str, device: str) -> Denoiser:
    """By digest too: a folder can be replaced while a process lives."""
    return Denoiser(folder, device=device)
