"""A profile's keys that scores depend on: as settings for the detectors, and as digests for the calibration."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from qcgen.qc.profile import Calibration, Profile
from qcgen.qc.references import read_references
from qcgen.qc.settings import TEMPLATES, Settings

_READERS: Mapping[str, tuple[str, ...]] = {
    "templates": ("garment_margin", "garment_rank", "attribute_margin"),
    "attributes": ("attribute_margin",),
    "screening": ("screening",),
    "references": ("memorisation",),
}
"""Detectors whose scores change with a key."""


def settings_of(profile: Profile, folder: Path | None) -> Settings:
    """Raises PrerequisiteError or IntegrityError where the references cannot be read.

    Args:
        folder: where relative paths start; None leaves the references out.
    """
    references = None
    if profile.references is not None and folder is not None:
        references = read_references(folder / profile.references)
    screening = profile.screening
    return Settings(
        templates=profile.templates,
        attributes=profile.attributes,
        unwanted=screening.unwanted if screening else (),
        wanted=screening.wanted if screening else (),
        references=references,
    )


def asked_of(settings: Settings) -> dict[str, str]:
    """A digest for each key that is not as a profile without it has it."""
    keys = {
        "templates": None if settings.templates == TEMPLATES else list(settings.templates),
        "attributes": dict(settings.attributes) or None,
        "screening": [settings.unwanted, settings.wanted] if settings.unwanted else None,
        "references": None if settings.references is None else settings.references.sha256,
    }
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        for name, value in keys.items()
        if value is not None
    }


def of_settings(settings: Settings, calibration: Calibration) -> list[str]:
    """What in a calibration was made for other settings, of the detectors that it calibrates."""
    here = asked_of(settings)
    return [
        f"{name}: not as the calibration had it, and {', '.join(readers)} depends on it"
        for name, detectors in _READERS.items()
        if (readers := [one for one in detectors if one in calibration.detectors])
        # Without references nothing is scored that could be judged by the wrong limits.
        and (name != "references" or settings.references is not None)
        and here.get(name) != calibration.asked.get(name)
    ]
