"""A job's nights in time order: what each run left in numbers, what changed before it, and which nights are missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from qcgen.core.control import typical
from qcgen.core.types import RunInfo
from qcgen.report.history import changes
from qcgen.report.tally import Tally

BASELINE_KEY = "trend_baseline"
"""Key of `RunInfo.environment`: limits are learned anew from this run on, and why."""
BASELINE_BY_KEY = "trend_baseline_by"
_DAY_S = 86_400
# A longer pause is one gap: a job that rests for a year does not need 365 empty places.
_MOST_MISSING = 31


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of one run. `reasons`: images that were not accepted, by reason code; `medians` by detector."""

    finished: int
    generated: int
    accepted: int
    flagged: int
    reasons: Mapping[str, int]
    medians: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Slot:
    """One place on the axis of nights.

    Attributes:
        day: YYYY-MM-DD.
        run: None where a night is missing.
        numbers: None where the run did not end, or what it left is gone.
        changes: what is not as in the run before.
        baseline: why the limits start anew here.
    """

    day: str
    run: RunInfo | None = None
    numbers: Numbers | None = None
    changes: tuple[str, ...] = ()
    baseline: str | None = None


def lay_out(runs: Sequence[RunInfo], numbers: Callable[[RunInfo], Numbers | None]) -> tuple[Slot, ...]:
    """One slot a run of one job, oldest first, and one a night that is missing between them.

    Args:
        numbers: of a complete run; None where they are gone.
    """
    ordered = sorted(runs, key=lambda run: (run.started_at, run.run_id))
    usual = _usual_gap(ordered)
    slots: list[Slot] = []
    for before, run in zip([None, *ordered], ordered, strict=False):
        if before is not None and usual is not None:
            slots += _missing(before, run, usual)
        slots.append(
            Slot(
                run.started_at[:10],
                run,
                numbers(run) if run.status == "complete" else None,
                changes(before, run),
                run.environment.get(BASELINE_KEY),
            )
        )
    return tuple(slots)


def from_summary(kept: Mapping[str, object]) -> Numbers | None:
    """From a report's run.json; None where it lacks something."""
    try:
        counts = {name: int(str(kept[name])) for name in ("generated", "failed", "accepted", "flagged")}
        reasons = {str(one["kind"]): sum(int(one[of]) for of in _STOPPED) for one in kept["reasons"]}  # type: ignore[attr-defined]
        medians = {str(name): float(shape["median"]) for name, shape in kept["detectors"].items()}  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    finished = counts["generated"] + counts["failed"]
    return Numbers(finished, counts["generated"], counts["accepted"], counts["flagged"], reasons, medians)


def from_tally(tally: Tally, planned: int) -> Numbers:
    """From a run's rows, where its report is gone or older than its verdicts."""
    counts = tally.counts(planned)
    reasons = {one.kind: one.images - one.accepted for one in tally.reasons()}
    medians = {shape.detector: shape.median for shape in tally.histograms()}
    return Numbers(counts.finished, counts.generated, counts.accepted, counts.flagged, reasons, medians)


_STOPPED = ("rejected", "flagged", "failed")


def _usual_gap(runs: Sequence[RunInfo]) -> float | None:
    """Median seconds between runs; None where they do not come once a day or more seldom, so that none is missing."""
    gap = typical([(_moment(after) - _moment(before)).total_seconds() for before, after in pairwise(runs)])
    return gap if gap is not None and gap > _DAY_S / 2 else None


def _missing(before: RunInfo, after: RunInfo, usual: float) -> list[Slot]:
    start = _moment(before)
    nights = round((_moment(after) - start).total_seconds() / usual) - 1
    days = [start + timedelta(seconds=usual * (night + 1)) for night in range(min(nights, _MOST_MISSING))]
    return [Slot(day.date().isoformat()) for day in days]


def _moment(run: RunInfo) -> datetime:
    """Start of a run; seconds matter little here, so the zone is left out."""
    return datetime.fromisoformat(run.started_at[:19])
