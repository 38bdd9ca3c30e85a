"""A profile's keys that scores depend on: as settings for the detectors, and as digests for the calibration."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.types import ModelRef
from qcgen.models.card import STUDENT_FILE
from qcgen.models.classifier import check_classifier
from qcgen.models.find import resolve_model
from qcgen.models.parts import find_parts
from qcgen.qc.profile import Calibration, Profile
from qcgen.qc.references import read_references
from qcgen.qc.settings import TEMPLATES, Settings

_READERS: Mapping[str, tuple[str, ...]] = {
    "templates": ("garment_margin", "garment_rank", "attribute_margin"),
    "attributes": ("attribute_margin",),
    "screening": ("screening",),
    "references": ("memorisation",),
    "teacher": ("diffusion_margin",),
    "classifier": ("colour_class", "garment_class"),
}
"""Detectors whose scores change with a key."""
_MODELS = ("teacher", "classifier")


def settings_of(profile: Profile, folder: Path | None, *, with_teacher: bool = True) -> Settings:
    """Raises SpecError, PrerequisiteError or IntegrityError where references, teacher or classifier cannot be read.

    Args:
        folder: where relative paths start; None leaves references, teacher and classifier out.
        with_teacher: False leaves the teacher alone out, for who scores nothing; its digest costs a read of its files.
    """
    references, teacher, classifier = None, None, None
    if profile.references is not None and folder is not None:
        references = read_references(folder / profile.references)
    if profile.teacher is not None and folder is not None and with_teacher:
        teacher = _teacher(profile.teacher, folder)
    if profile.classifier is not None and folder is not None:
        classifier = _found(profile.classifier, folder, key="classifier")
        check_classifier(classifier.folder)
    screening = profile.screening
    return Settings(
        templates=profile.templates,
        attributes=profile.attributes,
        unwanted=screening.unwanted if screening else (),
        wanted=screening.wanted if screening else (),
        references=references,
        teacher=teacher,
        classifier=classifier,
    )


def _teacher(name: str, folder: Path) -> ModelRef:
    """Refused before a run begins: what is no diffusion model, and a student, which can only start from pure noise."""
    found = _found(name, folder, key="teacher")
    if (found.folder / STUDENT_FILE).is_file():
        raise SpecError(f"teacher: must be a multi-step model (got {name!r}, a student). Cure: its teacher.")
    find_parts(found.folder, where="teacher")
    return found


def _found(name: str, folder: Path, *, key: str) -> ModelRef:
    return resolve_model(name if name.startswith("embedded:") else str(folder / name), key=key)


def asked_of(settings: Settings) -> dict[str, str]:
    """A digest for each key that is not as a profile without it has it."""
    keys = {
        "templates": None if settings.templates == TEMPLATES else list(settings.templates),
        "attributes": dict(settings.attributes) or None,
        "screening": [settings.unwanted, settings.wanted] if settings.unwanted else None,
        "references": None if settings.references is None else settings.references.sha256,
        "teacher": None if settings.teacher is None else settings.teacher.digest,
        "classifier": None if settings.classifier is None else settings.classifier.digest,
    }
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for name, value in keys.items()
        if value is not None
    }


def models_of(calibration: Calibration) -> dict[str, str]:
    """Digests of the models that its detectors asked, by the profile's key."""
    return {
        key: calibration.asked[key]
        for key in _MODELS
        if key in calibration.asked and any(one in calibration.detectors for one in _READERS[key])
    }


def of_settings(settings: Settings, calibration: Calibration) -> list[str]:
    """What in a calibration was made for other settings, of the detectors that it calibrates."""
    here = asked_of(settings)
    return [
        f"{name}: not as the calibration had it, which changes what {' and '.join(readers)} say"
        for name, detectors in _READERS.items()
        if (readers := [one for one in detectors if one in calibration.detectors])
        # Without references, teacher or classifier nothing is scored that could be judged by the wrong limits.
        and (name not in ("references", "teacher", "classifier") or name in here)
        and here.get(name) != calibration.asked.get(name)
    ]
