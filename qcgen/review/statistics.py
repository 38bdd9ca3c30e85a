"""The managers' screen: how far the work is, and how far it can be trusted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qcgen.core.reasoncodes import CODES
from qcgen.core.review import Kind, Progress
from qcgen.core.wording import several
from qcgen.review import pages
from qcgen.review.desk import Desk
from qcgen.review.door import Visitor
from qcgen.review.screens import bar_facts

if TYPE_CHECKING:
    from qcgen.core.reviewstats import Agreement, ReviewStats, Share

KEEP_S = 15.0
KINDS = {
    Kind.FLAGGED: "Flagged by the checks",
    Kind.AUDIT: "Audit of what passed",
    Kind.SEED: "Planted defects",
    Kind.DOUBLE: "Second looks",
    Kind.DISPUTE: "Disputes",
}
NOTHING_YET = "n/a"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure: its name, the figure, and what makes it readable (n, bounds)."""

    name: str
    value: str
    small: str


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    done: int
    total: int


@dataclass(slots=True)
class Statistics:
    """Counted again at most every 15 s: a night's decisions take a second to go through."""

    desk: Desk
    title: str
    _kept: dict[str, object] = field(default_factory=dict)
    _counted_at: float | None = None
    _lock: Lock = field(default_factory=Lock)

    async def page(self, request: Request, visitor: Visitor) -> Response:
        counted = await run_in_threadpool(self._count)
        return pages.show(pages.STATISTICS, {**bar_facts(self.title, visitor), **counted})

    def _count(self) -> dict[str, object]:
        # SciPy is needed here alone, and takes a third of the start.
        from qcgen.core.reviewstats import review_stats

        with self._lock:
            if self._counted_at is None or time.monotonic() - self._counted_at > KEEP_S:
                progress = self.desk.reviews.progress(self.desk.run_id)
                self._kept = facts_of(review_stats(self.desk.reviews, self.desk.run_id), progress)
                self._counted_at = time.monotonic()
            return self._kept


def facts_of(stats: "ReviewStats", progress: Sequence[Progress]) -> dict[str, object]:
    """What the page shows, as text."""
    done, total = sum(one.done for one in progress), sum(one.total for one in progress)
    return {
        "tiles": [
            Tile(
                "Answered", f"{done:,} of {total:,}", f"{percent(done / total)} of the queue" if total else "no queue"
            ),
            _missed_tile(stats),
            Tile("Planted defects found", percent(stats.seeds.rate), _seeds_words(stats)),
            Tile("Second looks that agree", percent(stats.agreement.raw), _agreement_words(stats.agreement)),
        ],
        "kinds": _bars_by_kind(progress),
        "codes": _bars_by_code(progress),
        "people": [
            (one, NOTHING_YET if one.dwell_ms is None else f"{one.dwell_ms / 1000:.1f} s") for one in stats.people
        ],
        "agreement": stats.agreement,
        "agreed": _agreement_rows(stats.agreement),
        "total_defects": _total_words(stats),
        "unseen": stats.strata_unseen,
        "audits_open": stats.audits_open,
        "open_disputes": stats.open_disputes,
    }


def percent(value: float | None) -> str:
    """One decimal; never rounds to 0 % or 100 % what is not."""
    if value is None:
        return NOTHING_YET
    if 0 < value < 0.0005:
        return "<0.1 %"
    if 0.9995 <= value < 1:
        return ">99.9 %"
    return f"{100 * value:.1f} %"


def _missed_tile(stats: "ReviewStats") -> Tile:
    missed = stats.missed
    if missed.rate is None:
        return Tile("Defects that escape", NOTHING_YET, "no audit has been answered")
    small = f"{missed.count} bad of {missed.n:,} audited; estimate {percent(missed.rate)}, 95 % sure it is no more"
    return Tile("Defects that escape", f"≤ {percent(missed.upper)}", small)


def _bounds(share: "Share") -> str:
    return f"{share.count:,} of {share.n:,}; {percent(share.low)} to {percent(share.high)} (95 %)"


def _seeds_words(stats: "ReviewStats") -> str:
    if stats.seeds.rate is None:
        return "none has been answered"
    return f"{_bounds(stats.seeds)}; {stats.right_code:,} with the right reason"


def _agreement_words(agreement: "Agreement") -> str:
    if agreement.raw is None:
        return "no picture has been looked at twice"
    return f"n {agreement.n:,}; kappa {_two(agreement.kappa)} at {percent(agreement.prevalence)} refused"


def _agreement_rows(agreement: "Agreement") -> list[tuple[str, str, str]]:
    return [
        ("Both refuse", f"{agreement.both_bad:,}", ""),
        ("Only the first refuses", f"{agreement.first_only:,}", ""),
        ("Only the second refuses", f"{agreement.second_only:,}", ""),
        ("Both accept", f"{agreement.both_good:,}", ""),
        ("Cohen's kappa", _two(agreement.kappa), "low where few are refused, however well people agree"),
        ("Gwet's AC1", _two(agreement.ac1), "does not collapse there"),
    ]


def _total_words(stats: "ReviewStats") -> str | None:
    total = stats.total
    if total is None:
        return None
    about = f"about {total.estimate:,.0f} in all ({total.low:,.0f} to {total.high:,.0f})"
    return f"{several(total.found, 'defect')} found by two full passes; there are {about}."


def _two(value: float | None) -> str:
    return NOTHING_YET if value is None else f"{value:.2f}"


def _bars_by_kind(progress: Sequence[Progress]) -> list[Bar]:
    bars = []
    for kind, name in KINDS.items():
        of_kind = [one for one in progress if one.kind is kind]
        if of_kind:
            bars.append(Bar(name, sum(one.done for one in of_kind), sum(one.total for one in of_kind)))
    return bars


def _bars_by_code(progress: Sequence[Progress]) -> list[Bar]:
    flagged = sorted((one for one in progress if one.kind is Kind.FLAGGED), key=lambda one: -one.total)
    return [Bar(CODES[one.code].name if one.code in CODES else one.code, one.done, one.total) for one in flagged]
