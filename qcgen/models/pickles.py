"""Pickled weights can run any code when they are loaded: they never are."""

from pathlib import Path

from qcgen.core.errors import PrerequisiteError, SpecError

WEIGHTS = ("unet", "transformer", "mixture", "vae", "text_encoder", "text_encoder_2")
"""The parts of a folder in diffusers' layout that hold weights."""


def refuse_pickles(folder: Path) -> None:
    """Raises SpecError where a folder has weights as a pickle alone, PrerequisiteError where it has none."""
    if any(folder.glob("*.safetensors")):
        return
    pickled = [
        path.name for path in sorted(folder.iterdir()) if path.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
    ]
    if pickled:
        raise SpecError(
            f"{folder}: {', '.join(pickled)} is a pickle and is never loaded. Cure: convert it to safetensors."
        )
    raise PrerequisiteError(f"{folder}: holds no .safetensors weights. Cure: copy the complete folder.")
