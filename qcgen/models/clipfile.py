"""A CLIP as one weight file: `open_clip:ARCHITECTURE[/TAG]:FILE`. Reads no weights, brings no torch."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.wording import names, show, suggest

SCHEME = "open_clip:"
_FORM = f"{SCHEME}ARCHITECTURE[/TAG]:FILE.safetensors"


@dataclass(frozen=True, slots=True)
class ClipFile:
    """Weights and what they are of.

    Attributes:
        architecture: one of open_clip's own, such as `ViT-B-32`.
        tag: the published training whose activation and preprocessing these weights have; None if they are its only.
    """

    architecture: str
    tag: str | None
    weights: Path

    def digest(self) -> str:
        """SHA-256 over the file and what it is said to be."""
        with self.weights.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(f"{self.architecture}\0{self.tag or ''}\0{content}\n".encode()).hexdigest()


def parse_clip_file(name: str, *, key: str = "model") -> ClipFile:
    """Read `open_clip:ViT-B-32/openai:weights.safetensors`.

    Raises:
        SpecError: another form, an architecture that open_clip does not have, or a pickle.
        PrerequisiteError: the file does not exist.
    """
    kind, colon, place = name.removeprefix(SCHEME).partition(":")
    architecture, _, tag = kind.partition("/")
    if not colon or not architecture or not place:
        raise SpecError(f"{key}: must be {_FORM} (got {name!r}). Cure: {SCHEME}ViT-B-32/openai:weights.safetensors")
    if architecture not in (known := architectures()):
        meant = suggest(architecture, known)
        hint = f"Did you mean {meant!r}? " if meant else ""
        raise SpecError(
            f"{key}: open_clip has no architecture {show(architecture)}. {hint}Cure: one of {names(known, 12)}, "
            "or a folder with the model's own open_clip_config.json."
        )
    path = Path(place)
    if not path.is_file():
        raise PrerequisiteError(f"{key}: the file {place!r} does not exist. Cure: give a local weight file.")
    if path.suffix != ".safetensors":
        raise SpecError(f"{key}: {path.name} is no .safetensors file and is never loaded. Cure: convert it first.")
    return ClipFile(architecture, tag or None, path)


def architectures() -> list[str]:
    """Names of the architectures that the installed open_clip describes."""
    spec = find_spec("open_clip")
    places = [] if spec is None else spec.submodule_search_locations or []
    return sorted(path.stem for place in places for path in (Path(place) / "model_configs").glob("*.json"))
