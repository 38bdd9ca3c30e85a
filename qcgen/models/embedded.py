"""Loading what `find.resolve_model` found. Nothing is ever downloaded."""

import torch

from qcgen.core.errors import SpecError
from qcgen.core.types import ModelRef
from qcgen.models.card import STUDENT_FILE
from qcgen.models.clipfile import SCHEME, parse_clip_file
from qcgen.models.encoder import OpenClipEncoder
from qcgen.models.families.sd15 import Parts, Sd15Student
from qcgen.models.families.toy import ToyStudent
from qcgen.models.find import resolve_model
from qcgen.models.onestep import OneStepStudent
from qcgen.models.parts import find_parts
from qcgen.models.protocol import Student


def load_student(ref: ModelRef, *, device: str = "cpu", dtype: str = "auto", compile_for: int | None = None) -> Student:
    """Load a one-step student; `auto` is bfloat16 where the processor has it, else float32.

    Args:
        compile_for: compile network and decoder for calls of so many pictures; the weightless toy stays as it is.

    Raises:
        SpecError: the folder holds no one-step student, or its weights are a pickle.
        PrerequisiteError: a part is missing.
    """
    if ref.name.startswith("toy:"):
        return ToyStudent(ref)
    if not (ref.folder / STUDENT_FILE).is_file():
        raise SpecError(
            f"model: {ref.name} has no {STUDENT_FILE}, so it is not a one-step student. "
            "Cure: distil it with `qcgen distill`."
        )
    parts, computes = find_parts(ref.folder), pick_dtype(dtype, device)
    kind = Sd15Student if isinstance(parts, Parts) else OneStepStudent
    student = kind(ref, parts, device=device, dtype=computes)  # type: ignore[arg-type]
    if compile_for is not None:
        student.compile(compile_for)
    return student


def load_encoder(name: str, *, device: str = "cpu") -> OpenClipEncoder:
    """Load the CLIP of a job: `embedded:NAME`, a local open_clip folder, or `open_clip:ARCHITECTURE[/TAG]:FILE`."""
    source = parse_clip_file(name) if name.startswith(SCHEME) else resolve_model(name).folder
    return OpenClipEncoder(source, device=device)


def pick_dtype(name: str, device: str) -> torch.dtype:
    """The dtype that `engine.dtype` means on this machine."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    fast = torch.cuda.is_bf16_supported() if device.startswith("cuda") else torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32
