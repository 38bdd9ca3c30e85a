"""A model's card (`qcgen_model.json`) and the digest that pins its files."""

import hashlib
import json
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.types import Card, Lineage
from qcgen.core.wording import show

CARD_FILE = "qcgen_model.json"
STUDENT_FILE = "qcgen_student.json"
_PINNED = {".safetensors", ".json", ".txt", ".gz"}


def read_card(folder: Path) -> Card:
    """The card of a model folder; without one the lineage counts as undeclared.

    Raises:
        SpecError: the card is not valid JSON or lacks a key.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return Card(name=folder.name, kind="unknown", licence=None, lineage=(), declared=False, measures={}, notes={})
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return Card(
            name=_text(body["name"]),
            kind=_text(body["kind"]),
            licence=None if body["licence"] is None else _text(body["licence"]),
            lineage=tuple(
                Lineage(_text(edge["relation"]), _text(edge["parent"]), _text(edge["licence"]), edge.get("digest"))
                for edge in body["lineage"]
            ),
            declared=True,
            measures=body.get("measures", {}),
            notes=body.get("notes", {}),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(
            f"{path}: not a model card ({error!r}). Cure: give name, kind, licence and lineage as JSON."
        ) from error


def shared_parts(folder: Path) -> dict[str, Path]:
    """Parts that a folder takes from another one, by part name (`vae`, `text_encoder`, ...).

    Raises:
        SpecError: the card is not valid JSON or of another form.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        return {}
    try:
        shared = json.loads(path.read_text(encoding="utf-8")).get("shared", {})
        return {name: (folder / place).resolve() for name, place in shared.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise SpecError(
            f"{path}: not a model card ({error!r}). Cure: an object, with `shared` naming a folder for each part."
        ) from error


def digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files that shape the output; the card's prose and pictures do not
    count."""
    total = hashlib.sha256()
    roots = {"": folder, **{f"{name}/": place for name, place in sorted(shared_parts(folder).items())}}
    for prefix, root in roots.items():
        for path in sorted(root.rglob("*")):
            if path.suffix in _PINNED and path.is_file() and path.name != CARD_FILE:
                name = prefix + path.relative_to(root).as_posix()
                total.update(f"{name}\0{_file_digest(path)}\n".encode())
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(value: object) -> str:
    """Text that every database can keep."""
    if not isinstance(value, str) or "\0" in value:
        raise TypeError(f"{show(value)} is no text")
    value.encode()  # half of a character is a UnicodeEncodeError, and so a ValueError
    return value
