"""What the artifact head learns from: a student's pictures and the local corruptions."""

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
from qcgen.qc.corruption import Corruption
from qcgen.qc.registry import find_corruptions
from qcgen.train.artifactbatch import Planted, Spoil

_BATCH = 64


def planted(spec: ArtifactHeadTraining) -> Planted:
    """The corruptions that the job names; raises SpecError with every one that is not a local one."""
    known = {name: one for name, one in find_corruptions().items() if one.local}
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
    spoils: dict[str, Spoil] = {name: partial(_apply, one) for name, one in known.items()}
    return Planted({name: spoils[name] for name in spec.seen}, {name: spoils[name] for name in spec.unseen})


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


def _apply(
    corruption: Corruption, image: UInt8[Tensor, "3 h w"], area: float, generator: torch.Generator
) -> tuple[UInt8[Tensor, "3 h w"], Bool[Tensor, "h w"]]:
    spoiled = corruption.apply(image, area, generator)
    assert spoiled.mask is not None, corruption.name
    return spoiled.image, spoiled.mask
