"""Pairs of pictures side by side, one file each."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.report.compare import Comparison, rows_of
from qcgen.report.protocol import Mark, Picture
from qcgen.report.sprites import Pictures

_SIDE_PX = 192
_MARKS = {
    Outcome.ACCEPT: Mark("good", "accepted"),
    Outcome.REVIEW: Mark("warn", "review"),
    Outcome.REJECT: Mark("bad", "rejected"),
    Outcome.FAILED: Mark("none", "failed"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One run as the page shows it.

    Attributes:
        rows: every attempt, read once more for the pictures.
        facts: what a person compares besides (licence, lineage), name -> text.
        report: the run's report folder, for links into its grid; None where it has none.
    """

    run: RunInfo
    rows: Iterable[Row]
    facts: Mapping[str, str]
    report: Path | None


def draw_pairs(
    found: Comparison, one: Shown, other: Shown, fresh: Path, folder: Path
) -> tuple[list[Picture], list[Picture]]:
    """The regressions and the random pairs, their files in `fresh`/pairs; links lead from `folder`."""
    wanted = (*found.worst, *found.drawn)
    before = rows_of((pair[0] for pair in wanted), one.rows)
    after = rows_of((pair[1] for pair in wanted), other.rows)
    pictures = Pictures(Path(one.run.out_dir)), Pictures(Path(other.run.out_dir))
    made = []
    for number, (left, right) in enumerate(wanted, start=1):
        rows = before[left], after[right]
        name = f"pairs/{number:02d}.webp"
        _beside([source.thumbnail(row, _SIDE_PX) for source, row in zip(pictures, rows, strict=True)], fresh / name)
        made.append(_picture(name, rows, _link(other, rows[1], folder)))
    return made[: len(found.worst)], made[len(found.worst) :]


def _beside(sides: Sequence[PIL.Image.Image | None], path: Path) -> None:
    sheet = PIL.Image.new("RGB", (2 * _SIDE_PX + 8, _SIDE_PX), (128, 128, 128))
    for place, side in enumerate(sides):
        if side is not None:
            # Pictures of a few pixels are drawn larger, so that both sides have one size.
            scale = _SIDE_PX / max(side.size)
            side = side.resize((max(round(side.width * scale), 1), max(round(side.height * scale), 1)))
            left = place * (_SIDE_PX + 8) + (_SIDE_PX - side.width) // 2
            sheet.paste(side, (left, (_SIDE_PX - side.height) // 2))
    sheet.save(path, "WEBP", quality=80)


def _picture(name: str, rows: tuple[Row, Row], href: str | None) -> Picture:
    outcomes = [row.outcome if row.relpath is not None else Outcome.FAILED for row in rows]
    before, after = (_MARKS[outcome] for outcome in outcomes)
    lines = [rows[1].prompt, f"Before {before.text}, now {after.text}"]
    lines += [finding.message for finding in rows[1].reasons[:2]]
    return Picture(name, href, rows[1].sku, after, tuple(lines))


def _link(shown: Shown, row: Row, folder: Path) -> str | None:
    """Into the new run's grid, where it has a report; ids are hexadecimal, so that they need no quoting."""
    if shown.report is None or not row.image_id.isalnum():
        return None
    grid = Path(os.path.relpath(shown.report.absolute() / "grid.html", folder)).as_posix()
    return f"{grid}#picture={row.image_id}"
