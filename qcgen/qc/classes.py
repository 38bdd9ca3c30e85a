"""What the profile's classifier says of pictures, once for all detectors that ask it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.core.types import ModelRef
from qcgen.models.classifier import Classified, Classifier, classify, load_classifier


def classified(
    ref: ModelRef, images: UInt8[Tensor, "b 3 h w"], fields: Sequence[Mapping[str, str]]
) -> Mapping[str, Classified]:
    """By field. One by one: a network's rounding depends on how many pictures it is given."""
    classifier = _classifier(ref.folder, ref.digest, str(images.device))
    found = [classify(classifier, images[i : i + 1], fields[i : i + 1]) for i in range(len(images))]
    return {
        field: Classified(
            names, torch.cat([one[field].logs for one in found]), tuple(one[field].own[0] for one in found)
        )
        for field, names in classifier.classes.items()
    }


@lru_cache(maxsize=2)
def _classifier(folder: Path, digest: str, device: str) -> Classifier:
    """By digest too: a folder can be replaced while a process lives."""
    return load_classifier(folder, device=device)
