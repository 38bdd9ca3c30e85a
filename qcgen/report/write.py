"""Writes a run's report folder: built beside its place, then swapped in."""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from qcgen.core.review import Decision
from qcgen.core.reviewstats import ReviewStats
from qcgen.core.types import REPORT_STAGE, Finding, Row, RunInfo
from qcgen.report.attempts import ROW_FORMATS, AttemptFiles
from qcgen.report.evidence import show_evidence
from qcgen.report.folder import replaced, write_page, write_tables
from qcgen.report.grid import GridData
from qcgen.report.history import find_ghosts, tell_nights
from qcgen.report.html import render_grid, render_index
from qcgen.report.intervals import Share, exact, upper_bound
from qcgen.report.parquet import require_parquet
from qcgen.report.runview import Counts, RunView, Worst
from qcgen.report.single import SINGLE, Sample, write_single
from qcgen.report.sprites import Pictures, image_href
from qcgen.report.summary import summarise
from qcgen.report.tally import Tally
from qcgen.report.viewlist import load_views

_WORST_PX = 256


@dataclass(frozen=True, slots=True)
class Beside:
    """What a report tells beyond a run and its rows.

    Attributes:
        history: other runs; those of the same job are drawn from the `run.json` of their reports.
        checks: what was looked at beside the pictures; `block`, `warn` or `info`.
        decisions: what people answered, one by one.
        review: what their answers say together; None where nobody was asked.
        overlays: by image id, a picture that shows where a defect is; relative to the images' folder.
    """

    history: Sequence[RunInfo] = ()
    checks: Sequence[Finding] = ()
    decisions: Iterable[Decision] = ()
    review: ReviewStats | None = None
    overlays: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    run: RunInfo
    folder: Path
    images_root: Path
    formats: frozenset[str]
    single: bool
    beside: Beside

    @property
    def images(self) -> str:
        """The images' folder, seen from the report."""
        return Path(os.path.relpath(self.images_root, self.folder)).as_posix()


def write_report(
    run: RunInfo,
    rows: Iterable[Row],
    *,
    folder: Path,
    images_root: Path,
    formats: Collection[str],
    every_attempt: Iterable[Row],
    beside: Beside | None = None,
    single: bool = False,
) -> Path:
    """Write (or replace) a run's report and return its `index.html`, `run.json` without the format html.

    Args:
        rows: standing attempts in item order.
        folder: becomes the report; must not exist, be empty or be an earlier report.
        images_root: `Row.relpath` is relative to it.
        formats: of `html`, `csv` and `parquet`; `run.json` and `SHA256SUMS` are always written.
        every_attempt: all attempts in item order, then attempt.
        single: write `single.html` too, one file of at most 3 MB to send by mail; needs the format html.

    Raises:
        SpecError: `folder` holds something that is not a report.
        PrerequisiteError: Parquet without pyarrow.
    """
    order = _Order(run, folder.absolute(), images_root.absolute(), frozenset(formats), single, beside or Beside())
    if "parquet" in order.formats:
        require_parquet()
    with replaced(order.folder) as fresh:
        _fill(order, fresh, rows, every_attempt)
    return order.folder / ("index.html" if "html" in order.formats else "run.json")


def _fill(order: _Order, fresh: Path, rows: Iterable[Row], every_attempt: Iterable[Row]) -> None:
    pictures, tally, sample = Pictures(order.images_root), Tally(), Sample()
    standing = 0
    with ThreadPoolExecutor(1) as encoder:
        grid = GridData(fresh, pictures, encoder) if "html" in order.formats else None
        for row in rows:
            tally.add(row)
            if order.single:
                sample.offer(row)
            if grid is not None:
                grid.add(row, overlay=(order.beside.overlays or {}).get(row.image_id))
            standing += 1
        if grid is not None:
            grid.close(order.run, order.images)
    attempts = standing
    if order.formats.intersection(ROW_FORMATS):
        files = AttemptFiles(order.run, fresh, order.formats, order.beside.decisions)
        files.write(every_attempt)
        attempts = files.attempts
    worst: tuple[Worst, ...] = ()
    if grid is not None:
        worst = _show_worst(tally.worst(), fresh, pictures, order.images)
        worst = show_evidence(worst, tally.worst(), order.images_root, fresh)
    view = _see(order, tally, worst=worst, lost=pictures.lost, attempts=attempts)
    sections = [one.build(view) for one in load_views()]
    if "csv" in order.formats:
        write_tables(fresh / "tables", sections)
    text = json.dumps(summarise(view), indent=2, ensure_ascii=False, allow_nan=False)
    numbers = (text + "\n").encode("utf-8", "replace")
    (fresh / "run.json").write_bytes(numbers)
    if grid is not None:
        digest = hashlib.sha256(numbers).hexdigest()
        write_page(fresh / "index.html", render_index(view, sections, digest=digest))
        write_page(fresh / "grid.html", render_grid(view, standing))
        if order.single:
            write_single(fresh / SINGLE, view, sections, sample.thumbnails(pictures), digest=digest)


def _see(order: _Order, tally: Tally, *, worst: tuple[Worst, ...], lost: int, attempts: int) -> RunView:
    run, reports = _before_the_report(order.run), order.folder.parent
    counts = tally.counts(run.planned)
    passed = exact(counts.accepted, counts.finished)
    missed, upper = _missed(order.beside.review, counts)
    ghosts = find_ghosts(run, order.beside.history, reports)
    return RunView(
        run=run,
        counts=counts,
        passed=passed,
        missed=missed,
        missed_upper=upper,
        reasons=tally.reasons(),
        slices=tally.slices(),
        histograms=tuple(replace(shape, ghost=ghosts.get(shape.detector)) for shape in tally.histograms()),
        worst=worst,
        nights=tell_nights(run, passed, order.beside.history, reports),
        unscored=dict(tally.unscored),
        lost_pictures=lost,
        attempts=attempts,
        spec=_read_spec(run.spec_json),
        checks=tuple(order.beside.checks),
        review=order.beside.review,
        formats=order.formats,
    )


def _missed(review: ReviewStats | None, counts: Counts) -> tuple[Share, float]:
    """From the audits with their weights; without a plan from whatever accepted pictures people looked at."""
    if review is None:
        return exact(counts.audited_bad, counts.audited), upper_bound(counts.audited_bad, counts.audited)
    told = review.missed
    return Share(told.count, told.n, told.low, told.high), told.upper


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


def _before_the_report(run: RunInfo) -> RunInfo:
    """As the first report sees it: what that one took is known to the later ones alone, which shall say the same."""
    stages = {name: took for name, took in run.seconds_by_stage.items() if name != REPORT_STAGE}
    return replace(run, seconds_by_stage=stages)


def _read_spec(text: str) -> dict[str, object]:
    try:
        spec = json.loads(text)
    except ValueError:
        return {}
    return spec if isinstance(spec, dict) else {}
