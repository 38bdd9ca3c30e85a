"""Where models are: the embedded ones and local folders, pinned by digest. Reads no weights, brings no torch."""

import json
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.types import Card, ModelRef
from qcgen.core.wording import names, suggest
from qcgen.models.card import STUDENT_FILE, digest, read_card
from qcgen.models.clipfile import SCHEME, parse_clip_file
from qcgen.models.pickles import WEIGHTS, refuse_pickles

EMBEDDED = "embedded:"
ASSETS = Path(__file__).parent / "assets"


def embedded_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in ASSETS.glob("*/qcgen_model.json"))


def resolve_model(name: str, *, key: str = "model") -> ModelRef:
    """Find a model by `embedded:NAME`, `toy:SIDE`, a folder, or a CLIP's weight file, and pin it by digest.

    Args:
        key: the job's key or the argument that names it, for messages.

    Raises:
        SpecError: the name has an unknown scheme or the embedded model does not exist.
        PrerequisiteError: the folder does not exist.
    """
    if name.startswith("toy:"):
        from qcgen.models.families.toy import ToyStudent  # brings torch, which the others do without

        return ToyStudent.reference(name)
    if name.startswith(SCHEME):
        file = parse_clip_file(name, key=key)
        card = Card(file.weights.stem, "clip", licence=None, lineage=(), declared=False, measures={}, notes={})
        return ModelRef(name=name, folder=file.weights.parent, digest=file.digest(), card=card)
    folder = _folder(name, key)
    return ModelRef(name=name, folder=folder, digest=digest(folder), card=read_card(folder))


def find_card(name: str) -> Card:
    """A model's card alone, without reading its files for their digest; raises as `resolve_model`."""
    whole = name.startswith(("toy:", SCHEME))
    return resolve_model(name).card if whole else read_card(_folder(name, "model"))


def _folder(name: str, key: str) -> Path:
    bare = name.removeprefix(EMBEDDED)
    if name == EMBEDDED + bare:
        if bare not in embedded_models():
            raise SpecError(f"{key}: {name!r} is not an embedded model. {_embedded_cure(name)}")
        return ASSETS / bare
    if not Path(name).is_dir():
        # A bare name may be an embedded model's whose scheme was forgotten or misspelt; a path is a path.
        near = suggest(name.rpartition(":")[2], embedded_models()) if Path(name).name == name else None
        cure = _embedded_cure(name) if near else "Cure: give a folder on the local disk."
        raise PrerequisiteError(f"{key}: the folder {name!r} does not exist. {cure}")
    return Path(name)


def _embedded_cure(name: str) -> str:
    # Without the scheme, which makes all names alike.
    near = suggest(name.rpartition(":")[2], embedded_models())
    known = names(f"{EMBEDDED}{one}" for one in embedded_models())
    return f"Did you mean {EMBEDDED + near!r}?" if near else f"Cure: one of {known}, or a folder."


def picture_px(ref: ModelRef) -> int:
    """Side of a student's pictures, from its configuration files alone.

    Raises:
        SpecError: the model is not a one-step student, or its weights are a pickle.
    """
    if ref.name.startswith("toy:"):
        return int(ref.name.removeprefix("toy:"))
    if not (ref.folder / STUDENT_FILE).is_file():
        raise SpecError(
            f"model: {ref.name} has no {STUDENT_FILE}, so it is not a one-step student. "
            "Cure: distil it with `qcgen distill`."
        )
    for part in WEIGHTS:
        if (ref.folder / part).is_dir():
            refuse_pickles(ref.folder / part)
    return int(json.loads((ref.folder / STUDENT_FILE).read_text(encoding="utf-8"))["size_px"])
