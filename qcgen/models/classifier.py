"""The image tower of a CLIP, tuned on labelled pictures: which value of a field a picture shows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.preprocess import Preprocess, read_preprocess

CLIP_CONFIG = "open_clip_config.json"
_WEIGHTS, _CLASSES = "classifier.safetensors", "classifier.json"
_LENGTH = 10.0
"""Of an embedding before the linear layers: at 1 their logits would stay near each other for long."""


class Classifier(nn.Module):
    """A tower and a linear layer for each field.

    Args:
        config: open_clip's, of the CLIP that the tower is from.
        classes: of each field, the values that it tells apart.

    Raises:
        SpecError: the tower needs more than open_clip's own parts.
    """

    def __init__(self, config: Mapping[str, Mapping[str, object]], classes: Mapping[str, Sequence[str]]) -> None:
        import open_clip  # heavy, and profiles that name no classifier are read without it

        super().__init__()
        self.config = config
        self.classes = {field: tuple(names) for field, names in classes.items()}
        model = config["model_cfg"]
        vision = model["vision_cfg"]
        if not isinstance(vision, Mapping) or "timm_model_name" in vision:
            raise SpecError(f"clip: {CLIP_CONFIG} names a tower that is not open_clip's own. Cure: another CLIP.")
        try:
            self.tower: nn.Module = open_clip.CLIP(
                embed_dim=model["embed_dim"],
                vision_cfg=dict(vision),
                # Of the text tower nothing is kept: the smallest there is.
                text_cfg={"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1},
                quick_gelu=bool(model.get("quick_gelu", False)),
            ).visual
        except (TypeError, KeyError, ValueError, RuntimeError, ArithmeticError, AssertionError) as error:
            raise SpecError(
                f"clip: {CLIP_CONFIG} describes no image tower of open_clip's own ({str(error)[:200]}). "
                "Cure: another CLIP."
            ) from None
        features = int(str(model["embed_dim"]))
        self.heads = nn.ModuleDict({field: nn.Linear(features, len(names)) for field, names in self.classes.items()})
        self.preprocess: Preprocess = read_preprocess(config["preprocess_cfg"], CLIP_CONFIG)

    def forward(self, x: Float[Tensor, "b 3 s t"]) -> dict[str, Float[Tensor, "b k"]]:
        """Logits of each field's values, of pictures as `preprocess` leaves them."""
        embedding = _LENGTH * F.normalize(self.tower(x).float(), dim=1)
        return {field: head(embedding) for field, head in self.heads.items()}

    def place(self, field: str, value: str | None) -> int | None:
        """Of a value among the field's classes, capitals apart; None where the classifier does not know it."""
        wanted = (value or "").strip().casefold()
        names = [name.casefold() for name in self.classes.get(field, ())]
        return names.index(wanted) if wanted in names else None


@dataclass(frozen=True, slots=True)
class Classified:
    """Of some pictures and one field: logarithms of the probabilities of its values, float64 on the CPU, and where each
    picture's own value stands; None where the classifier does not know it."""

    names: tuple[str, ...]
    logs: Float[Tensor, "b k"]
    own: tuple[int | None, ...]


def classify(
    classifier: Classifier, images: UInt8[Tensor, "b 3 h w"], fields: Sequence[Mapping[str, str]]
) -> dict[str, Classified]:
    """By field."""
    with torch.no_grad():
        logits = classifier(classifier.preprocess(images, str(images.device)))
    return {
        field: Classified(
            classifier.classes[field],
            one.double().log_softmax(1).cpu(),
            tuple(classifier.place(field, row.get(field)) for row in fields),
        )
        for field, one in logits.items()
    }


def save_classifier(classifier: Classifier, folder: Path) -> None:
    """Write a classifier in half precision."""
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in classifier.state_dict().items()
    }
    save_file(weights, folder / _WEIGHTS)
    (folder / _CLASSES).write_text(json.dumps(classifier.classes, indent=1) + "\n", encoding="utf-8")
    (folder / CLIP_CONFIG).write_text(json.dumps(classifier.config, indent=1) + "\n", encoding="utf-8")


def check_classifier(folder: Path) -> None:
    """Raises PrerequisiteError if the folder lacks a file of a classifier."""
    missing = [name for name in (_WEIGHTS, _CLASSES, CLIP_CONFIG) if not (folder / name).is_file()]
    if missing:
        raise PrerequisiteError(f"{folder}: lacks {', '.join(missing)}. Cure: a folder that `kind: classifier` left.")


def load_classifier(folder: Path, *, device: str = "cpu") -> Classifier:
    """Raises PrerequisiteError if the folder holds no classifier, a damaged one, or one of another make."""
    check_classifier(folder)
    try:
        config = json.loads((folder / CLIP_CONFIG).read_text(encoding="utf-8"))
        classifier = Classifier(config, _read_classes(folder / _CLASSES))
        weights = load_file(folder / _WEIGHTS)
        classifier.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
        )
        classifier.eval().requires_grad_(False)
        _refuse_nonsense(classifier)
    except (RuntimeError, TypeError, KeyError, ValueError, AttributeError, RecursionError, SafetensorError, SpecError):
        raise PrerequisiteError(
            f"{folder}: holds a damaged classifier, or one of another make. Cure: train it again with "
            "`kind: classifier`."
        ) from None
    return classifier.to(device)


def _read_classes(path: Path) -> dict[str, list[str]]:
    found = json.loads(path.read_text(encoding="utf-8"))
    for names in found.values():
        whole = isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)
        if not whole or len(set(names)) != len(names) or len(names) < 2:
            raise ValueError(f"{path}: two names or more, each once")
    return dict(found)


def _refuse_nonsense(classifier: Classifier) -> None:
    """A training that broke leaves weights whose scores are no numbers, which no limit would catch."""
    grey = torch.full((1, 3, *classifier.preprocess.size), 128, dtype=torch.uint8)
    if not all(bool(one.isfinite().all()) for one in classifier(classifier.preprocess(grey)).values()):
        raise ValueError("scores that are no numbers")
