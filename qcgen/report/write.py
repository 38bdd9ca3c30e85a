"""Writes a run's report folder: built beside its place, then swapped in."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.review import Decision
from qcgen.core.types import Row, RunInfo
from qcgen.report.csvout import AttemptFiles, write_table
from qcgen.report.grid import GridData
from qcgen.report.history import tell_nights
from qcgen.report.html import render_grid, render_index
from qcgen.report.intervals import exact, upper_bound
from qcgen.report.protocol import Section
from qcgen.report.runview import RunView, Worst
from qcgen.report.sprites import Pictures, image_href
from qcgen.report.summary import summarise
from qcgen.report.tally import Tally
from qcgen.report.viewlist import load_views

_WORST_PX = 256


def write_report(
    run: RunInfo,
    rows: Iterable[Row],
    *,
    folder: Path,
    images_root: Path,
    formats: Collection[str],
    every_attempt: Iterable[Row],
    history: Sequence[RunInfo] = (),
    decisions: Iterable[Decision] = (),
) -> Path:
    """Write (or replace) a run's report and return its `index.html`, `run.json` without the format html.

    Args:
        rows: standing attempts in item order.
        folder: becomes the report; must not exist, be empty or be an earlier report.
        images_root: `Row.relpath` is relative to it.
        formats: of `html` and `csv`; `run.json` and `SHA256SUMS` are always written.
        every_attempt: all attempts in item order, then attempt.
        history: other runs; those of the same job are drawn from the `run.json` of their reports.
        decisions: what people answered, for decisions.csv.

    Raises:
        SpecError: `folder` holds something that is not a report.
    """
    folder = folder.absolute()
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.part-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        files = AttemptFiles(run, fresh, decisions)
        _fill(run, rows, fresh, folder, images_root.absolute(), frozenset(formats), every_attempt, files, history)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder / ("index.html" if "html" in formats else "run.json")


def _fill(
    run: RunInfo,
    rows: Iterable[Row],
    fresh: Path,
    folder: Path,
    images_root: Path,
    formats: frozenset[str],
    every_attempt: Iterable[Row],
    attempt_files: AttemptFiles,
    history: Sequence[RunInfo],
) -> None:
    images = Path(os.path.relpath(images_root, folder)).as_posix()
    pictures, tally = Pictures(images_root), Tally()
    standing = 0
    with ThreadPoolExecutor(1) as encoder:
        grid = GridData(fresh, pictures, encoder) if "html" in formats else None
        for row in rows:
            tally.add(row)
            if grid is not None:
                grid.add(row)
            standing += 1
        if grid is not None:
            grid.close(run, images)
    attempts = standing
    if "csv" in formats:
        attempt_files.write(every_attempt)
        attempts = attempt_files.attempts
    worst = _show_worst(tally.worst(), fresh, pictures, images) if grid is not None else ()
    view = _see(
        run, tally, folder, history, worst=worst, lost=pictures.lost, attempts=attempts, has_csv="csv" in formats
    )
    sections = [one.build(view) for one in load_views()]
    if "csv" in formats:
        _write_tables(fresh / "tables", sections)
    if grid is not None:
        (fresh / "index.html").write_text(render_index(view, sections), encoding="utf-8", errors="replace")
        (fresh / "grid.html").write_text(render_grid(run, standing), encoding="utf-8", errors="replace")
    text = json.dumps(summarise(view), indent=2, ensure_ascii=False, allow_nan=False)
    (fresh / "run.json").write_text(text + "\n", encoding="utf-8", errors="replace")
    _write_sums(fresh)


def _see(
    run: RunInfo,
    tally: Tally,
    folder: Path,
    history: Sequence[RunInfo],
    *,
    worst: tuple[Worst, ...],
    lost: int,
    attempts: int,
    has_csv: bool,
) -> RunView:
    counts = tally.counts(run.planned)
    passed = exact(counts.accepted, counts.finished)
    return RunView(
        run=run,
        counts=counts,
        passed=passed,
        missed=exact(counts.audited_bad, counts.audited),
        missed_upper=upper_bound(counts.audited_bad, counts.audited),
        reasons=tally.reasons(),
        slices=tally.slices(),
        histograms=tally.histograms(),
        worst=worst,
        nights=tell_nights(run, passed, history, folder.parent),
        unscored=dict(tally.unscored),
        lost_pictures=lost,
        attempts=attempts,
        spec=_read_spec(run.spec_json),
        has_csv=has_csv,
    )


def _show_worst(rows: Sequence[Row], fresh: Path, pictures: Pictures, images: str) -> tuple[Worst, ...]:
    """Give each of the worst images a file of its own, so that the page shows them wherever the folder goes."""
    (fresh / "worst").mkdir()
    lost = pictures.lost
    shown: list[Worst] = []
    for number, row in enumerate(rows, start=1):
        picture = pictures.thumbnail(row, _WORST_PX)
        name = f"worst/{number:02d}.webp" if picture is not None else None
        if picture is not None and name is not None:
            picture.save(fresh / name, "WEBP", quality=80)
        shown.append(
            Worst(
                image_id=row.image_id,
                sku=row.sku,
                prompt=row.prompt,
                seed=row.seed,
                attempt=row.attempt,
                outcome=row.outcome,
                decision=row.decision,
                messages=tuple(finding.message for finding in row.reasons),
                joint_p=row.joint_p,
                thumbnail=name,
                href=image_href(images, row.relpath),
            )
        )
    pictures.lost = lost  # the grid has counted these already
    return tuple(shown)


def _write_tables(folder: Path, sections: Sequence[Section]) -> None:
    folder.mkdir()
    for section in sections:
        for table in section.tables():
            write_table(folder / f"{section.name}_{table.name}.csv", table)


def _write_sums(folder: Path) -> None:
    """In the form that `sha256sum -c SHA256SUMS` checks."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="ascii")


def _read_spec(text: str) -> dict[str, object]:
    try:
        spec = json.loads(text)
    except ValueError:
        return {}
    return spec if isinstance(spec, dict) else {}


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and (not any(folder.iterdir()) or (folder / "SHA256SUMS").is_file())):
        return
    raise SpecError(f"{folder}: is not a report and would be replaced. Cure: name another folder or remove it")


def _swap(fresh: Path, folder: Path) -> None:
    """Two renames: a reader sees the old report, for an instant none, then the new one; never a half one."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
    folder.rename(old / folder.name)
    try:
        fresh.rename(folder)
    except OSError:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
