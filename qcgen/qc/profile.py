"""The files behind a policy: a profile (what a catalogue wants) and a calibration (what good pictures score)."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from qcgen.core.errors import IntegrityError, PrerequisiteError, SpecError
from qcgen.core.spec import load_json
from qcgen.core.wording import Problems, cure_of, show
from qcgen.core.yamlpos import Document
from qcgen.qc.near import AGREEMENT
from qcgen.qc.registry import find_detectors
from qcgen.qc.settings import TEMPLATES


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectorRule(_Frozen):
    """How one detector takes part.

    Attributes:
        importance: weight in the joint test; 0 means scored and shown, never flagging.
        floor: just noticeable; a flag needs a value beyond it, however rare the value is.
        ceiling: hard limit; a value beyond it rejects, calibrated or not.
        required: without a value the picture goes to a person.
        two_sided: flags the unusually good too, by p on both sides; floor and ceiling hold for the bad side alone.
        other_floor: just noticeable on the good side of a two-sided rule.
    """

    importance: FiniteFloat = Field(1.0, ge=0)
    floor: FiniteFloat | None = None
    ceiling: FiniteFloat | None = None
    required: bool = False
    two_sided: bool = False
    other_floor: FiniteFloat | None = None

    @model_validator(mode="after")
    def _other_side(self) -> "DetectorRule":
        if self.other_floor is not None and not self.two_sided:
            raise ValueError(
                f"other_floor is for two-sided rules (got {self.other_floor:g}). Cure: two_sided: true, or leave it out"
            )
        return self


_Code = Annotated[int, Field(ge=0, le=255)]


def _one_place(template: str) -> str:
    if "{}" not in template or template.count("{") != 1 or template.count("}") != 1:
        raise ValueError(
            f"must hold {{}} once and no other brace (got {show(template)}). Cure: write it like 'a photo of a {{}}'"
        )
    return template


_Template = Annotated[str, AfterValidator(_one_place)]
_Concept = Annotated[str, Field(min_length=1, max_length=200)]


class Screening(_Frozen):
    """Captions of what no picture may show, and of what pictures here do show."""

    unwanted: Annotated[tuple[_Concept, ...], Field(min_length=1)]
    wanted: Annotated[tuple[_Concept, ...], Field(min_length=1)]


class Profile(_Frozen):
    """What a kind of catalogue wants of its pictures.

    Attributes:
        near_duplicate_bits: of 256, by which the hashes of near duplicates differ at most; at 0 only equal hashes are
            near, and no moved or mirrored copies are looked for.
        near_duplicate_agreement: of the phases of moved and mirrored copies, at least; None looks for none of these.
        calibration: a path from the profile's own folder.
        background: the ground that it wants behind the product, RGB in codes; for `background`, `frame_contact`.
        tile_px: from one tile to the next, where the decoder works in tiles; only the detector `tile_seam` reads it.
        templates: captions with one `{}` for what the CLIP is asked of each class.
        attributes: fields of the items table that `attribute_margin` checks, each with its wording (one `{}`).
        screening: concepts that `screening` looks for.
        references: a file of `qcgen references`, a path from the profile's own folder; for `memorisation`.
        teacher: a model (`embedded:NAME`, or a folder from the profile's own) that `diffusion_margin` asks.
        classifier: what `kind: classifier` left (`embedded:NAME`, or a folder from the profile's own), for
            `garment_class` and `colour_class`.
        revision: counts the versions that were learnt from decisions.
        parent: the digest of the policy before.
    """

    version: Literal[1]
    name: str
    alpha: FiniteFloat = Field(gt=0, lt=0.5)
    near_duplicate_bits: int = Field(ge=0, le=64)
    near_duplicate_agreement: FiniteFloat | None = Field(AGREEMENT, ge=0.5, le=1)
    calibration: str | None
    background: tuple[_Code, _Code, _Code] = (255, 255, 255)
    tile_px: int | None = Field(None, ge=16)
    templates: Annotated[tuple[_Template, ...], Field(min_length=1, max_length=50)] = TEMPLATES
    attributes: Mapping[str, _Template] = {}
    screening: Screening | None = None
    references: str | None = None
    teacher: str | None = None
    classifier: str | None = None
    detectors: Mapping[str, DetectorRule] = Field(min_length=1)
    revision: int = Field(1, ge=1)
    parent: str | None = None


class Reference(_Frozen):
    """Scores of good pictures by one detector version, sorted upwards, in the detector's own unit and direction."""

    version: int
    importance: FiniteFloat = Field(gt=0)
    scores: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
    two_sided: bool = False


class GroupReference(_Frozen):
    """What stands in for the whole reference in one group of pictures (`groups.py` says by which rule).

    Attributes:
        values: of the calibration's `group_by`, as many as the group's level has.
        n: pictures, both halves.
        scores: by detector, sorted upwards; detectors that are not in it keep the whole reference's.
        joint: the min-p statistics of the group's own second half.
    """

    values: Annotated[tuple[str, ...], Field(min_length=1)]
    n: int
    scores: Mapping[str, Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]]
    joint: tuple[FiniteFloat, ...]


class Kept(_Frozen):
    """A file in a calibration's own folder; several calibrations of the same pictures may name the same one."""

    file: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]{0,199}$")]
    sha256: str


class Calibration(_Frozen):
    """Thresholds' source: `detectors` from one half of the reference, `joint` (the min-p statistics) from the other.

    Attributes:
        n: pictures in the reference, both halves.
        encoder_digest, model_digest: what the scores depend on besides the detectors; None where not involved.
        size: of all pictures, as `128` or `96x128`; None if they differ.
        uncalibrated: detectors of the profile that had too few scores, with how many.
        group_by: item fields (or `size_px`) that make groups, coarsest first; `groups` have limits of their own.
        backed_off: groups that had too few pictures for that, with how many.
        asked: digests of the profile's keys that scores depend on (`asking.asked_of`).
        embeddings: of the reference pictures; None: `embeddings_beside`, unpinned.
        content_sha256: of everything else, so that a number which changed is noticed; None in files of before.
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
    size: str | None = None
    group_by: tuple[str, ...] = ()
    groups: tuple[GroupReference, ...] = ()
    backed_off: Mapping[str, int] = {}
    asked: Mapping[str, str] = {}
    embeddings: Kept | None = None
    content_sha256: str | None = None


_EMBEDDINGS = ".embeddings.npz"


def find_profile(profile: str, *, key: str = "qc.profile") -> Path:
    """The file of a built-in profile's name, or of a path.

    Args:
        key: the job's key or the option that names it, for messages.

    Raises:
        SpecError: neither exists.
    """
    folder = Path(str(files("qcgen.qc"))) / "profiles"
    built_in = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if profile in built_in:
        return built_in[profile]
    if Path(profile).is_file():
        return Path(profile)
    cure = cure_of(profile, built_in, beside=", or a file's path, seen from the folder where qcgen is started")
    raise SpecError(f"{key}: no such profile (got {show(profile)}). {cure}")


def read_profile(path: Path) -> Profile:
    """Raises SpecError with every mistake, detectors that nobody knows among them."""
    return load_json(path, Profile, _unknown_detectors)


def add_unknown(problems: Problems, given: Iterable[str], where: Callable[[str], str]) -> None:
    """Add the names that no detector has; `where` is each one's place."""
    known = find_detectors()
    for name in given:
        if name not in known:
            problems.add("unknown detectors", partial(_no_such_detector, where, name))


def _no_such_detector(where: Callable[[str], str], name: str) -> str:
    return f"{where(name)}: no such detector. {cure_of(name, sorted(find_detectors()), limit=50)}"


def read_calibration(path: Path) -> Calibration:
    """Raises PrerequisiteError where there is no such file, SpecError where it is malformed, IntegrityError where it is
    no longer what `write_calibration` wrote."""
    if not path.is_file():
        raise PrerequisiteError(f"{path}: the profile's calibration is missing. Cure: qcgen calibrate RUN --profile P.")
    found = load_json(path, Calibration)
    if found.content_sha256 not in (None, _content_sha256(found)):
        raise IntegrityError(
            f"{path}: is not as qcgen calibrate wrote it (its content_sha256 is of other content). "
            "Cure: take the file from a backup, or qcgen calibrate again."
        )
    return found


def embeddings_beside(calibration: Path) -> Path:
    """A calibration's own file of the reference pictures' embeddings."""
    return calibration.with_suffix(_EMBEDDINGS)


def find_embeddings(calibration: Calibration, path: Path) -> Path | None:
    """The file of the reference pictures' embeddings; None where it is missing, or holds other bytes than are named."""
    kept = calibration.embeddings
    found = embeddings_beside(path) if kept is None else path.with_name(kept.file)
    return found if found.is_file() and (kept is None or _sha256(found) == kept.sha256) else None


def keep_embeddings(path: Path) -> Kept:
    """Name a file for its calibration; where another one in the folder has the same bytes, that one stays alone."""
    digest, size = _sha256(path), path.stat().st_size
    for other in sorted(path.parent.glob(f"*{_EMBEDDINGS}")):
        if other != path and other.stat().st_size == size and _sha256(other) == digest:
            path.unlink()
            return Kept(file=other.name, sha256=digest)
    return Kept(file=path.name, sha256=digest)


def naming(embeddings: Path) -> list[Path]:
    """The calibrations in the folder that name a file of embeddings."""
    found = []
    for path in sorted(embeddings.parent.glob("*.json")):
        try:
            calibration = read_calibration(path)
        except (SpecError, IntegrityError):
            continue
        if calibration.embeddings is not None and calibration.embeddings.file == embeddings.name:
            found.append(path)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content_sha256(calibration: Calibration) -> str:
    # Without defaults, so that a later version, with more fields, finds the same.
    content = calibration.model_dump(mode="json", exclude={"content_sha256"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_calibration(calibration: Calibration, path: Path) -> None:
    """One line a detector, so that versions can be compared; replaces the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    sealed = calibration.model_copy(update={"content_sha256": _content_sha256(calibration)})
    part.write_text(sealed.model_dump_json(indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def _unknown_detectors(document: Document, problems: Problems) -> None:
    given = document.value.get("detectors")
    add_unknown(problems, given if isinstance(given, dict) else (), lambda name: document.where(("detectors", name)))
