"""The checks alone, on picture files made elsewhere."""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.types import Finding, Measure, Outcome, Severity, Verdict
from qcgen.qc.groups import SIZE, with_size
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.phash import find_duplicates, phash
from qcgen.qc.policy import Policy

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture file and what was asked for; no prompt where that is not known."""

    path: Path
    prompt: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scored:
    """What the checks say of one file; `fields` are the subject's with the picture's size."""

    subject: Subject
    measures: tuple[Measure, ...]
    verdict: Verdict
    sha256: str
    pixels_sha256: str
    phash: str | None
    fields: Mapping[str, str] = field(default_factory=dict)


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The picture files among `paths` and below the folders among them, sorted.

    Raises:
        SpecError: a path does not exist or is no picture, or there are none at all.
    """
    problems = [f"{path}: no such file or folder. Cure: check the path." for path in paths if not path.exists()]
    kinds = ", ".join(sorted(ENDINGS))
    problems += [
        f"{path}: must end in one of {kinds}. Cure: name pictures or folders."
        for path in paths
        if path.is_file() and path.suffix.lower() not in ENDINGS
    ]
    if problems:
        raise SpecError(problems)
    inside = (found for path in paths for found in (path.rglob("*") if path.is_dir() else [path]))
    pictures = sorted({path for path in inside if path.is_file() and path.suffix.lower() in ENDINGS})
    if not pictures:
        raise SpecError(f"no pictures in {', '.join(map(str, paths))}. Cure: name a folder that holds {kinds}.")
    return pictures


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
        raise SpecError([f"--prompts: no row for {path}. Cure: add one with its name in `file`." for path in missing])
    fields = [name for name in columns if name not in ("file", "prompt")]
    return [
        Subject(path, columns["prompt"][row], {name: columns[name][row] for name in fields})
        for path, row in found.items()
        if row is not None
    ]


def score_files(
    subjects: Sequence[Subject], inspector: Inspector, policy: Policy, *, tell: Callable[[int], None]
) -> list[Scored]:
    """Measure and judge files in the order given, duplicates among them included.

    Args:
        tell: called with the number of files done.
    """
    scored: list[Scored] = []
    for start in range(0, len(subjects), _BATCH):
        scored += _score_group(subjects[start : start + _BATCH], inspector, policy)
        tell(len(scored))
    offered = [one for one in scored if one.phash is not None and one.verdict.outcome is not Outcome.REJECT]
    hashes = [(str(one.subject.path), one.pixels_sha256, one.phash or "") for one in offered]
    repeated = find_duplicates(hashes, limit_bits=policy.near_duplicate_bits)
    return [
        replace(
            one, verdict=judge(one.measures, policy.fit(size=one.fields[SIZE]), extra=(finding,), fields=one.fields)
        )
        if (finding := repeated.get(str(one.subject.path)))
        else one
        for one in scored
    ]


def _score_group(subjects: Sequence[Subject], inspector: Inspector, policy: Policy) -> list[Scored]:
    """Pictures of one size go through the detectors together; the order given is kept."""
    done: dict[Path, Scored] = {}
    by_size: dict[tuple[int, ...], list[tuple[Subject, str, UInt8[Tensor, "3 h w"]]]] = {}
    for subject in subjects:
        content = subject.path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        picture = _decode(content)
        if isinstance(picture, str):
            done[subject.path] = Scored(subject, (), _unreadable(picture, policy), sha256, sha256, None)
        else:
            by_size.setdefault(tuple(picture.shape), []).append((subject, sha256, picture))
    for alike in by_size.values():
        images = torch.stack([picture for _, _, picture in alike])
        measured = inspector.measure(images, [one.prompt for one, _, _ in alike], [one.fields for one, _, _ in alike])
        for (subject, sha256, codes), measures, digits in zip(alike, measured, phash(images), strict=True):
            pixels = hashlib.sha256(f"{tuple(codes.shape)}".encode() + codes.numpy().tobytes()).hexdigest()
            fields = with_size(subject.fields, codes.shape[2], codes.shape[1])
            verdict = judge(measures, policy.fit(size=fields[SIZE]), fields=fields)
            done[subject.path] = Scored(subject, measures, verdict, sha256, pixels, digits, fields)
    return [done[subject.path] for subject in subjects]


def _decode(content: bytes) -> UInt8[Tensor, "3 h w"] | str:
    """RGB codes, or why the file is no picture."""
    try:
        with PIL.Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as picture:
            codes = np.array(picture.convert("RGB"))
    except (OSError, ValueError, PIL.Image.DecompressionBombError) as error:
        return str(error)
    return torch.from_numpy(codes).permute(2, 0, 1).contiguous()


def _unreadable(why: str, policy: Policy) -> Verdict:
    reason = Finding("unreadable", Severity.BLOCK, f"unreadable: the file is no whole PNG, JPEG or WebP ({why}).")
    return Verdict(Outcome.FAILED, (reason,), None, policy.sha256)


def _ends(path: Path) -> Iterator[str]:
    """`c.png`, `b/c.png`, `a/b/c.png`, ...: the longest that a table has wins."""
    return ("/".join(path.parts[start:]) for start in range(len(path.parts)))
