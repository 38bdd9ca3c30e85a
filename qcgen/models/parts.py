"""Which family a model's folder is of: each file in `models/families` says what it recognises."""

from functools import cache
from pathlib import Path
from typing import Protocol, cast

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.registry import scan
from qcgen.models.layout import config_of
from qcgen.models.protocol import ModelParts


class Family(Protocol):
    """A family's class of parts."""

    def recognises(self, root: Path) -> bool:
        """Whether a folder is of this family, by its configuration files alone."""
        ...

    def find(self, root: Path) -> ModelParts:
        """Its parts; raises SpecError or PrerequisiteError where they are not complete or not safe."""
        ...


@cache
def families() -> dict[str, Family]:
    """Every family by name."""
    return {name: cast(Family, plugin) for name, plugin in scan("qcgen.models.families").items()}


def find_parts(root: Path, *, where: str = "model") -> ModelParts:
    """The parts of a folder, read by the family that recognises it.

    Args:
        where: the job's key that names the folder, for messages.

    Raises:
        PrerequisiteError: there is no such folder, or parts are missing.
        SpecError: no family recognises it, weights are a pickle, or its parametrisation is unknown.
    """
    if not root.is_dir():
        raise PrerequisiteError(f"{where}: {root} lacks a folder there. Cure: give a local folder in diffusers format.")
    for family in families().values():
        if family.recognises(root):
            parts = family.find(root)
            # Read once here, so that an unknown parametrisation is refused before anything else is asked of the folder.
            _ = parts.schedule
            return parts
    configs = {part: config_of(root, part) for part in ("unet", "transformer")}
    seen = [f"{part}: {config.get('_class_name', 'no class')}" for part, config in configs.items() if config]
    if not seen:
        raise PrerequisiteError(
            f"{where}: {root} lacks a unet or transformer with a config.json. Cure: give a complete folder in "
            "diffusers format."
        )
    raise SpecError(
        f"{where}: {root} must be of a known family, {', '.join(families())} (got {'; '.join(seen)}). "
        "Cure: another teacher, or a file for its family in qcgen/models/families."
    )
