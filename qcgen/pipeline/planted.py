"""What the artifact head learns from: a student's pictures, the local corruptions, and imprints."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.seeds import item_seed
from qcgen.core.trainspec import ArtifactHeadTraining
from qcgen.core.wording import cure_of
from qcgen.data.imageset import ImageSet
from qcgen.models.embedded import load_student
from qcgen.models.find import resolve_model
from qcgen.pipeline.sampling import sample_student
from qcgen.qc.corruption import Corrupted
from qcgen.qc.imprint import imprint
from qcgen.qc.registry import find_corruptions
from qcgen.train.artifactbatch import Image, Planted

_BATCH = 64
_SEVERITY = 3
_IMPRINT_AREA = 0.1
"""What is measured with: the corruptions' middle severity, and imprints on a tenth of the picture."""

Plant = Callable[[Image, float, torch.Generator], Corrupted]


def planted(spec: ArtifactHeadTraining) -> Planted:
    """The corruptions that the job names; raises SpecError with every one that is not a local one."""
    local = {name: one for name, one in find_corruptions().items() if one.local}
    known: dict[str, Plant] = {name: one.apply for name, one in local.items()} | {"imprint": imprint}
    wrong = [
        f"{key}: {name} is no local corruption. {cure_of(name, known, limit=50)}"
        for key, names in (("seen", spec.seen), ("unseen", spec.unseen))
        for name in names
        if name not in known
    ]
    wrong += [f"unseen: {name} is trained on. Cure: leave it out of one." for name in spec.unseen if name in spec.seen]
    if not spec.seen:
        wrong.append("seen: must name at least one corruption (got none). Cure: cut_paste, duplicated_part, warp.")
    if wrong:
        raise SpecError(wrong)
    amounts = {name: float(one.parameters[_SEVERITY - 1]) for name, one in local.items()} | {"imprint": _IMPRINT_AREA}
    return Planted(
        {name: partial(_apply, known[name]) for name in spec.seen},
        {name: partial(_measured, known[name], amounts[name]) for name in dict.fromkeys((*spec.seen, *spec.unseen))},
    )


def draw_pictures(spec: ArtifactHeadTraining, data: ImageSet) -> UInt8[Tensor, "n 3 h w"]:
    """The student's pictures of captions drawn from the image set."""
    sampler = sample_student(load_student(resolve_model(spec.student)), device="cpu")
    generator = torch.Generator().manual_seed(spec.seed)
    rows = torch.randint(len(data.captions), (spec.draws,), generator=generator).tolist()
    seeds = [item_seed(spec.seed, place) for place in range(spec.draws)]
    parts = [
        sampler([data.captions[row] for row in rows[start : start + _BATCH]], seeds[start : start + _BATCH])
        for start in range(0, spec.draws, _BATCH)
    ]
    return torch.cat(parts)


def _apply(plant: Plant, image: Image, area: float, generator: torch.Generator) -> tuple[Image, Bool[Tensor, "h w"]]:
    spoiled = plant(image, area, generator)
    assert spoiled.mask is not None
    return spoiled.image, spoiled.mask


def _measured(
    plant: Plant, amount: float, image: Image, generator: torch.Generator
) -> tuple[Image, Bool[Tensor, "h w"]]:
    return _apply(plant, image, amount, generator)
