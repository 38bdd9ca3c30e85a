"""The files behind a policy: a profile (what a catalogue wants) and a calibration (what good pictures score)."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from qcgen.core.errors import PrerequisiteError, SpecError


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectorRule(_Frozen):
    """How one detector takes part.

    Attributes:
        importance: weight in the joint test; 0 means scored and shown, never flagging.
        floor: just noticeable; a flag needs a value beyond it, however rare the value is.
        ceiling: hard limit; a value beyond it rejects, calibrated or not.
        required: without a value the picture goes to a person.
    """

    importance: FiniteFloat = Field(1.0, ge=0)
    floor: FiniteFloat | None = None
    ceiling: FiniteFloat | None = None
    required: bool = False


_Code = Annotated[int, Field(ge=0, le=255)]


class Profile(_Frozen):
    """What a kind of catalogue wants of its pictures.

    Attributes:
        calibration: a path from the profile's own folder.
        background: the ground that it wants behind the product, RGB in codes; only the detector `background` reads it.
    """

    version: Literal[1]
    name: str
    alpha: FiniteFloat = Field(gt=0, lt=0.5)
    near_duplicate_bits: int = Field(ge=0, le=64)
    calibration: str | None
    background: tuple[_Code, _Code, _Code] = (255, 255, 255)
    detectors: Mapping[str, DetectorRule] = Field(min_length=1)


class Reference(_Frozen):
    """Scores of good pictures by one detector version, sorted upwards, in the detector's own unit and direction."""

    version: int
    importance: FiniteFloat = Field(gt=0)
    scores: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]


class Calibration(_Frozen):
    """Thresholds' source: `detectors` from one half of the reference, `joint` (the min-p statistics) from the other.

    Attributes:
        n: pictures in the reference, both halves.
        encoder_digest, model_digest: what the scores depend on besides the detectors; None where not involved.
        uncalibrated: detectors of the profile that had too few scores, with how many.
    """

    version: Literal[1]
    profile: str
    created: str
    source: str
    n: int
    alpha: FiniteFloat
    split_seed: int
    encoder_digest: str | None
    model_digest: str | None
    libraries: Mapping[str, str]
    uncalibrated: Mapping[str, int]
    detectors: Mapping[str, Reference]
    joint: tuple[FiniteFloat, ...]


_File = TypeVar("_File", Profile, Calibration)


def find_profile(profile: str) -> Path:
    """The file of a built-in profile's name, or of a path.

    Raises:
        SpecError: neither exists.
    """
    folder = Path(str(files("qcgen.qc"))) / "profiles"
    built_in = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if profile in built_in:
        return built_in[profile]
    if Path(profile).is_file():
        return Path(profile)
    raise SpecError(f"qc.profile: no such profile (got {profile!r}). Cure: {', '.join(built_in)} or a file's path.")


def read_profile(path: Path) -> Profile:
    return _read(path, Profile)


def read_calibration(path: Path) -> Calibration:
    """Raises PrerequisiteError where there is no such file, SpecError where it is malformed."""
    if not path.is_file():
        raise PrerequisiteError(f"{path}: the profile's calibration is missing. Cure: qcgen calibrate RUN --profile P.")
    return _read(path, Calibration)


def write_calibration(calibration: Calibration, path: Path) -> None:
    """One line a detector, so that versions can be compared; replaces the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(calibration.model_dump_json(indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def _read(path: Path, kind: type[_File]) -> _File:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SpecError(
            [f"{path} {'.'.join(map(str, one['loc'])) or '(file)'}: {one['msg']}." for one in error.errors()]
        ) from None
