"""Where the parts of a model folder are: diffusers' layout, parts that are taken from another folder, no pickles."""

import json
from collections.abc import Sequence
from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.card import shared_parts
from qcgen.models.pickles import refuse_pickles

# Without accelerate diffusers would load the slow way anyhow, after a warning.
LOCAL = {"local_files_only": True, "use_safetensors": True, "low_cpu_mem_usage": False}
"""How every network is loaded."""


def locate(root: Path, *, weights: Sequence[str], others: Sequence[str]) -> dict[str, Path]:
    """The folder of every part, by name; those that `root` shares with another are named in its qcgen_model.json.

    Args:
        weights: parts that hold weights.
        others: tokenizers and schedulers.

    Raises:
        PrerequisiteError: parts are missing; lists them.
        SpecError: weights are a pickle.
    """
    shared = shared_parts(root)
    paths = {name: shared.get(name, (root / name).resolve()) for name in (*weights, *others)}
    missing = [str(path) for path in paths.values() if not path.is_dir()]
    if missing:
        raise PrerequisiteError(
            f"{root}: lacks {', '.join(missing)}. Cure: give a complete folder in diffusers format."
        )
    for name in weights:
        refuse_pickles(paths[name])
    return paths


def config_of(root: Path, part: str) -> dict[str, object]:
    """A part's config.json; empty where there is none.

    Raises:
        SpecError: it is no JSON object.
    """
    path = shared_parts(root).get(part, root / part) / "config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecError(f"{path}: is not JSON ({error}). Cure: copy the folder again.") from error
    if not isinstance(config, dict):
        raise SpecError(f"{path}: must be an object (got {type(config).__name__}). Cure: copy the folder again.")
    return config
