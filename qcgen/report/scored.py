"""What `qcgen score --out` leaves: `index.html` and `scores.csv`, one row a file, those not judged included."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from markupsafe import Markup

from qcgen.core.evidence import EVIDENCE, Record, picture_of
from qcgen.core.types import Finding, Outcome, Severity
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.csvout import write_csv
from qcgen.report.evidence import exhibits
from qcgen.report.folder import write_page
from qcgen.report.html import render_page
from qcgen.report.protocol import Band, Block, Case, Cases, Column, Mark, Number, Picture, Section, Table, Tile

SCORES = "scores.csv"
_SHOWN = 500
"""Rows of a table on the page; all are in the CSV."""
_MARKS = {Outcome.ACCEPT: "good", Outcome.REVIEW: "warn", Outcome.REJECT: "bad", Outcome.FAILED: "bad"}

_DOES = {
    Severity.BLOCK: Mark("bad", "rejects"),
    Severity.WARN: Mark("warn", "flags"),
    Severity.INFO: Mark("none", "noted"),
}
_FAILS = Mark("bad", "not scored")
"""What a reason does to a file, whatever its severity where there is no picture."""


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """One file. `unscored`: by detector, why it has no value; `evidence`: its files lie in the report's `evidence`."""

    name: str
    sha256: str
    outcome: Outcome
    joint_p: float | None
    reasons: tuple[Finding, ...]
    measures: Mapping[str, float] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)
    evidence: Record | None = None


def write_scores(files: Sequence[ScoredFile], folder: Path) -> Path:
    """Write `scores.csv` into the folder, whole or not at all."""
    path = folder / SCORES
    _write_rows(files, path)
    return path


def write_scored_page(files: Sequence[ScoredFile], folder: Path, *, policy: str) -> Path:
    """Write `index.html` into the folder, whole or not at all; it refers to `scores.csv`.

    Args:
        policy: the profile that judged.
    """
    subtitle = f"{several(len(files), 'file')}, judged by {policy}"
    text = render_page("Scores", subtitle, _sections(files), source=SCORES, pictures=True)
    page = folder / "index.html"
    part = page.with_name(page.name + ".part")
    try:
        write_page(part, text)
        part.replace(page)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return page


def _write_rows(files: Sequence[ScoredFile], path: Path) -> None:
    names = sorted({name for one in files for name in (*one.measures, *one.unscored)})
    head = ("file", "file_sha256", "verdict", "joint_p", "reasons", "unscored", *(f"m_{name}" for name in names))
    write_csv(
        path,
        head,
        (
            (
                one.name,
                one.sha256,
                one.outcome.value,
                one.joint_p,
                " ".join(reason.message for reason in one.reasons),
                "; ".join(f"{name}: {why}" for name, why in one.unscored.items()),
                *(one.measures.get(name) for name in names),
            )
            for one in files
        ),
    )


def _sections(files: Sequence[ScoredFile]) -> tuple[Section, ...]:
    absent = [one for one in files if one.outcome is Outcome.FAILED]
    judged = [one for one in files if one.outcome in (Outcome.REJECT, Outcome.REVIEW)]
    return (
        Section("summary", "Summary", "What the checks say of these files.", (_band(files),)),
        Section(
            "files",
            "Not scored",
            _lead(absent, "has no picture that can be judged", "have no picture that can be judged"),
            tuple(_absent(absent)),
        ),
        Section("reasons", "Reasons", "How many pictures each reason holds for.", (_reasons(files),)),
        Section(
            "pictures", "Rejected and flagged", _lead(judged, "needs a look", "need a look"), tuple(_judged(judged))
        ),
        Section(
            "missing", "Detectors without a value", "Why a detector said nothing of a picture.", (_missing(files),)
        ),
    )


def _band(files: Sequence[ScoredFile]) -> Band:
    counts = Counter(one.outcome for one in files)
    tiles = tuple(
        Tile(name, words.count(counts[outcome]), note, _MARKS[outcome] if counts[outcome] else None)
        for outcome, name, note in (
            (Outcome.ACCEPT, "accepted", "nothing found"),
            (Outcome.REVIEW, "flagged", "for people to look at"),
            (Outcome.REJECT, "rejected", "beyond a hard limit, or a repeat"),
            (Outcome.FAILED, "not scored", "no picture in the file, or one of another size"),
        )
    )
    bad = counts[Outcome.REJECT] + counts[Outcome.FAILED]
    state = "bad" if bad else "warn" if counts[Outcome.REVIEW] else "good"
    answer = f"{words.count(counts[Outcome.ACCEPT])} of {several(len(files), 'file')} accepted"
    sentence = f"{words.count(bad)} rejected or not scored, {words.count(counts[Outcome.REVIEW])} flagged."
    return Band(state, answer, sentence, (), Markup(""), tiles)


def _absent(files: Sequence[ScoredFile]) -> Iterator[Table]:
    if files:
        columns = (Column("file"), Column("code"), Column("reason"))
        rows = [
            (one.name, reason.evidence.get("reason", reason.kind), reason.message)
            for one in files[:_SHOWN]
            for reason in one.reasons[:1]
        ]
        yield Table("not-scored", "Files without a score", columns, tuple(rows), _note(files))


def _judged(files: Sequence[ScoredFile]) -> Iterator[Block]:
    if files:
        columns = (Column("file"), Column("verdict"), Column("p", True), Column("reasons"))
        order = sorted(files, key=lambda one: (one.outcome is not Outcome.REJECT, one.joint_p or 0.0))
        shown = tuple(_case(one, one.evidence) for one in order if one.evidence is not None)
        if shown:
            yield Cases(shown)
        rows = [
            (
                one.name,
                Mark(_MARKS[one.outcome], one.outcome.value),
                Number(one.joint_p, "" if one.joint_p is None else words.number(one.joint_p, 3)),
                " ".join(_told(reason) for reason in one.reasons),
            )
            for one in order[:_SHOWN]
        ]
        yield Table("judged", "Rejected first, then the least likely", columns, tuple(rows), _note(files))


def _case(one: ScoredFile, record: Record) -> Case:
    """The picture and what shows its reasons."""
    mark = Mark(_MARKS[one.outcome], one.outcome.value)
    told = tuple(_told(reason) for reason in one.reasons)
    picture = Picture(picture_of(record), None, one.name.rpartition("/")[2], mark, (one.name, *told))
    beside = [
        replace(
            shown,
            overlay=None if shown.overlay is None else f"{EVIDENCE}/{shown.overlay}",
            companion=None if shown.companion is None else f"{EVIDENCE}/{shown.companion}",
            neighbours=(),
        )
        for shown in record.reasons
    ]
    return Case(picture, exhibits(f"file-{record.image_id}", beside))


def _told(reason: Finding) -> str:
    new = {name: text for name, text in reason.evidence.items() if name != "p" and text not in reason.message}
    facts = ", ".join(f"{name} {text}" for name, text in new.items())
    return f"{reason.message} ({facts})" if facts else reason.message


def _reasons(files: Sequence[ScoredFile]) -> Table:
    counts = Counter(
        (one.kind, _FAILS if file.outcome is Outcome.FAILED else _DOES[one.severity])
        for file in files
        for one in file.reasons
    )
    rows = tuple((kind, does, Number(count, words.count(count))) for (kind, does), count in counts.most_common())
    return Table("reasons", "Reasons", (Column("reason"), Column("what it does"), Column("files", True)), rows)


def _missing(files: Sequence[ScoredFile]) -> Table:
    counts = Counter(pair for one in files for pair in one.unscored.items())
    rows = tuple((name, why, Number(count, words.count(count))) for (name, why), count in counts.most_common())
    return Table("missing", "Missing values", (Column("detector"), Column("why"), Column("pictures", True)), rows)


def _lead(files: Sequence[ScoredFile], does: str, do: str) -> str:
    return f"{several(len(files), f'file {does}', f'files {do}')}." if files else "None."


def _note(files: Sequence[ScoredFile]) -> str | None:
    return f"The first {_SHOWN}; all are in {SCORES}." if len(files) > _SHOWN else None
