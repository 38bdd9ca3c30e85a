"""The checks alone, on picture files made elsewhere."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.types import Finding, Measure, Outcome, Severity, Verdict
from qcgen.core.wording import file_name
from qcgen.data.decoder import Decoded, Decoder, Limits, Refused
from qcgen.models.cores import single_threaded
from qcgen.qc.duplicates import find_duplicates
from qcgen.qc.fingerprint import mean_chroma, written
from qcgen.qc.groups import SIZE, size_text, with_size
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.parts import over_cores
from qcgen.qc.phash import luma_64
from qcgen.qc.policy import Policy
from qcgen.qc.protocol import Batch
from qcgen.qc.stale import STALE

UNREADABLE = "unreadable"
OTHER_SIZE = "other_size"
"""The reasons of a file that is not judged: it has no picture, or one that the calibration does not fit."""
_BATCH = 32
_PIXELS = 4_000_000
"""Pictures are measured together up to so many pixels: what the detectors derive takes about a hundred bytes each."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture file and what was asked for; no prompt where that is not known."""

    path: Path
    prompt: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scored:
    """What the checks say of one file; `fields` are the subject's with the picture's size. A file that is not judged
    has no measures, and its verdict's one reason says why."""

    subject: Subject
    measures: tuple[Measure, ...]
    verdict: Verdict
    sha256: str
    pixels_sha256: str
    phash: str | None
    fields: Mapping[str, str] = field(default_factory=dict)


def describe(pictures: Sequence[Path], columns: Mapping[str, Sequence[str]] | None) -> list[Subject]:
    """Join pictures with a table of columns `file` (a path's end), `prompt` and any fields.

    Raises:
        SpecError: a column or a picture's row is missing; lists every picture without one.
    """
    if columns is None:
        return [Subject(path, "", {}) for path in pictures]
    lacking = [name for name in ("file", "prompt") if name not in columns]
    if lacking:
        raise SpecError(
            f"--prompts: lacks the column {', '.join(lacking)}. Cure: give file, prompt and the items' fields."
        )
    places = {name: row for row, name in enumerate(columns["file"])}
    found = {path: next((places[end] for end in _ends(path) if end in places), None) for path in pictures}
    missing = [path for path, row in found.items() if row is None]
    if missing:
        raise SpecError(
            [f"--prompts: no row for {file_name(path)}. Cure: add one with its name in `file`." for path in missing]
        )
    fields = [name for name in columns if name not in ("file", "prompt")]
    return [
        Subject(path, columns["prompt"][row], {name: columns[name][row] for name in fields})
        for path, row in found.items()
        if row is not None
    ]


def score_files(
    subjects: Sequence[Subject],
    inspector: Inspector,
    policy: Policy,
    *,
    tell: Callable[[int], None],
    limits: Limits | None = None,
    least_side: int = 0,
) -> list[Scored]:
    """Measure and judge files in the order given, duplicates among them included.

    Every file has its row: one that has no picture, or one of a size that the policy was not calibrated for (unless
    that is allowed), is `failed`, with the reason.

    Args:
        tell: called with the number of files done.
        limits: what one file may cost.
        least_side: a quick look: larger pictures are shrunk by a power of two to no less than this short side, px, and
            exact duplicates are files of the same bytes.
    """
    scored: list[Scored] = []
    with Decoder(limits, policy.background, least_side=least_side) as decoder:
        for group in _ahead(_groups(subjects, decoder)):
            scored += _score_group(group, inspector, policy)
            tell(len(scored))
    return _with_duplicates(scored, policy)


def refuse(subject: Subject, why: Refused, policy: Policy) -> Scored:
    """The row of a file that is not judged."""
    kind = OTHER_SIZE if why.code == OTHER_SIZE else UNREADABLE
    reason = Finding(kind, Severity.BLOCK, f"{kind}: {why.reason}.", evidence={"reason": why.code})
    verdict = Verdict(Outcome.FAILED, (reason,), None, policy.sha256)
    return Scored(subject, (), verdict, why.sha256, why.sha256, None, subject.fields)


def fits_none(scored: Sequence[Scored]) -> bool:
    """Whether there were pictures to judge, and the calibration fits the size of none of them."""
    kinds = {reason.kind for one in scored for reason in one.verdict.reasons if one.verdict.outcome is Outcome.FAILED}
    return OTHER_SIZE in kinds and all(one.verdict.outcome is Outcome.FAILED for one in scored)


def _fitting(found: Decoded | Refused, policy: Policy) -> Decoded | Refused:
    """Before anything is measured: a picture of another size says nothing by these limits."""
    if isinstance(found, Refused) or policy.allow_stale or policy.size is None:
        return found
    size = size_text(found.image.shape[2], found.image.shape[1])
    if size == policy.size:
        return found
    shrunk = " after it was shrunk" if "scaled" in found.notes else ""
    reason = (
        f"it is {size} px{shrunk} and profile {policy.name} was calibrated with {policy.size} px. "
        "Cure: another profile, such as photos, or --allow-stale"
    )
    return Refused(OTHER_SIZE, reason, found.sha256)


_Group = list[tuple[Subject, Decoded | Refused]]


def _groups(subjects: Sequence[Subject], decoder: Decoder) -> Iterator[_Group]:
    """Some pictures at a time, in the order given."""
    group: _Group = []
    pixels = 0
    for subject, found in zip(subjects, decoder.read(one.path for one in subjects), strict=True):
        group.append((subject, found))
        pixels += found.image[0].numel() if isinstance(found, Decoded) else 0
        if len(group) == _BATCH or pixels >= _PIXELS:
            yield group
            group, pixels = [], 0
    if group:
        yield group


def _ahead(groups: Iterator[_Group]) -> Iterator[_Group]:
    """The next group is read while this one is measured."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = reader.submit(next, groups, None)
            yield group


def _score_group(group: _Group, inspector: Inspector, policy: Policy) -> list[Scored]:
    """Pictures of one size go through the detectors together; the order given is kept."""
    done: dict[Path, Scored] = {}
    by_size: dict[tuple[int, ...], list[tuple[Subject, Decoded]]] = {}
    for subject, read in group:
        found = _fitting(read, policy)
        if isinstance(found, Refused):
            done[subject.path] = refuse(subject, found, policy)
        else:
            by_size.setdefault(tuple(found.image.shape), []).append((subject, found))
    groups = list(by_size.values())
    batches = over_cores(lambda alike: _batch(alike, inspector), groups)
    seen = over_cores(lambda batch: (luma_64(batch.images), mean_chroma(batch.images)), batches)
    hashes = _hashes(seen) if seen else []
    pixels = over_cores(_pixels, [found for alike in groups for _, found in alike])
    measured = [measures for one in inspector.measure_all(batches) for measures in one]
    pictures = [each for alike in groups for each in alike]
    for (subject, found), measures, *digests in zip(pictures, measured, pixels, hashes, strict=True):
        done[subject.path] = _judge(subject, found, measures, *digests, policy=policy)
    return [done[subject.path] for subject, _ in group]


def _hashes(seen: Sequence[tuple[Tensor, list[tuple[int, int]]]]) -> list[str]:
    # A second thread would wait for work, spinning, on the core that decodes.
    with single_threaded():
        return written(torch.cat([luma for luma, _ in seen]), [each for _, means in seen for each in means])


def _batch(alike: Sequence[tuple[Subject, Decoded]], inspector: Inspector) -> Batch:
    images = torch.stack([found.image for _, found in alike])
    return inspector.batch(images, [one.prompt for one, _ in alike], [one.fields for one, _ in alike])


def _judge(
    subject: Subject, found: Decoded, measures: tuple[Measure, ...], pixels: str, digits: str, *, policy: Policy
) -> Scored:
    codes = found.image
    fields = with_size(subject.fields, codes.shape[2], codes.shape[1])
    notes = tuple(Finding(code, Severity.INFO, f"{code}: {note}.") for code, note in found.notes.items())
    verdict = judge(measures, policy.fit(size=fields[SIZE]), extra=notes, fields=fields)
    return Scored(subject, measures, verdict, found.sha256, pixels, digits, fields)


def _pixels(found: Decoded) -> str:
    """What tells exact duplicates. Other pixels can shrink to the same: then it is the file's bytes."""
    if "scaled" in found.notes:
        return found.sha256
    digest = hashlib.sha256(f"{tuple(found.image.shape)}".encode())
    digest.update(found.image.numpy().data)
    return digest.hexdigest()


def _with_duplicates(scored: Sequence[Scored], policy: Policy) -> list[Scored]:
    offered = [one for one in scored if one.phash is not None and one.verdict.outcome is not Outcome.REJECT]
    hashes = [(file_name(one.subject.path), one.pixels_sha256, one.phash or "") for one in offered]
    repeated = find_duplicates(hashes, limit_bits=policy.near_duplicate_bits, agreement=policy.near_duplicate_agreement)
    return [_repeats(one, repeated.get(file_name(one.subject.path)), policy) for one in scored]


def _repeats(one: Scored, finding: Finding | None, policy: Policy) -> Scored:
    if finding is None:
        return one
    notes = [reason for reason in one.verdict.reasons if reason.severity is Severity.INFO]
    extra = (*(note for note in notes if note.kind != STALE), finding)
    return replace(one, verdict=judge(one.measures, policy.fit(size=one.fields[SIZE]), extra=extra, fields=one.fields))


def _ends(path: Path) -> Iterator[str]:
    """`c.png`, `b/c.png`, `a/b/c.png`, ...: the longest that a table has wins."""
    return ("/".join(path.parts[start:]) for start in range(len(path.parts)))
