"""One streaming pass over a run's standing attempts; keeps counts, one float per detector and image, the worst rows."""

import heapq
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
from scipy.stats import rankdata

from qcgen.core.types import Finding, Outcome, Row
from qcgen.report.intervals import wilson
from qcgen.report.runview import Counts, Histogram, Limit, Reason, Slice, SliceSet, Told

WORST_KEPT = 50
# Fewer than this on either side say nothing of a detector.
_FEWEST_DECIDED = 5
# Above this a field is an identifier or free text, not a slice; 17 garments and 14 colours fit many times.
_MOST_VALUES = 60
_BINS = 30
_FIRST_FIELDS = ("product", "colour", "color", "category")
_NO_VALUE = "(none)"
_SAID = (Outcome.REJECT.value, Outcome.ACCEPT.value)


class Tally:
    """Call `add` for every row in item order, then read. Rows themselves are let go, thumbnails included."""

    def __init__(self) -> None:
        self._outcomes: Counter[Outcome] = Counter()
        self._plain: Counter[str] = Counter()
        self._rows = 0
        self._reasons: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)
        self._examples: dict[str, str] = {}
        self._fields: dict[str, defaultdict[str, list[int]] | None] = {}
        self._values: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._accepted: defaultdict[str, array[int]] = defaultdict(lambda: array("b"))
        self._decided: defaultdict[str, tuple[array[float], array[float]]] = defaultdict(
            lambda: (array("d"), array("d"))
        )
        self._limits: defaultdict[str, Counter[tuple[float, bool]]] = defaultdict(Counter)
        self._worst: list[tuple[tuple[int, float, int], int, Row]] = []
        self.unscored: Counter[tuple[str, str]] = Counter()

    def add(self, row: Row) -> None:
        outcome = row.outcome if row.relpath is not None else Outcome.FAILED
        self._outcomes[outcome] += 1
        self._count_person(row, outcome)
        self._plain["retried"] += row.attempt > 1
        for kind, message in reasons_of(row).items():
            self._reasons[kind][outcome] += 1
            self._examples.setdefault(kind, message)
        self._slice(row, passed=outcome is Outcome.ACCEPT)
        for detector, value in row.measures.items():
            if math.isfinite(value):
                self._values[detector].append(value)
                self._accepted[detector].append(outcome is Outcome.ACCEPT)
                if row.decision in _SAID:
                    self._decided[detector][_SAID.index(row.decision)].append(value)
        for detector, reason in row.unscored.items():
            self.unscored[detector, reason] += 1
        for finding in row.reasons:
            self._note_limit(finding, row)
        if row.relpath is not None:
            self._offer(row)
        self._rows += 1

    def counts(self, planned: int) -> Counts:
        return Counts(
            planned=planned,
            generated=self._rows - self._outcomes[Outcome.FAILED],
            failed=self._outcomes[Outcome.FAILED],
            accepted=self._outcomes[Outcome.ACCEPT],
            flagged=self._outcomes[Outcome.REVIEW],
            rejected=self._outcomes[Outcome.REJECT],
            retried=self._plain["retried"],
            waiting=self._plain["waiting"],
            audited=self._plain["audited"],
            audited_bad=self._plain["audited_bad"],
            shippable=self._plain["shippable"],
        )

    def reasons(self) -> tuple[Reason, ...]:
        """Most frequent among images that were not accepted first; ties by name."""
        listed = [
            Reason(
                kind=kind,
                rejected=by[Outcome.REJECT],
                flagged=by[Outcome.REVIEW],
                failed=by[Outcome.FAILED],
                accepted=by[Outcome.ACCEPT],
                example=self._examples[kind],
            )
            for kind, by in self._reasons.items()
        ]
        return tuple(sorted(listed, key=lambda reason: (reason.accepted - reason.images, -reason.images, reason.kind)))

    def slices(self) -> tuple[SliceSet, ...]:
        """One set per field with 2 to 60 values, product and colour first; in a set the lowest pass rate first."""
        usable = {name: values for name, values in self._fields.items() if values and 2 <= len(values) <= _MOST_VALUES}
        repeated = {name: values for name, values in usable.items() if len(values) < self._rows}
        names = sorted(repeated, key=lambda name: (_place(name), name))
        return tuple(SliceSet(name, self._rank(repeated[name])) for name in names[:4])

    def histograms(self) -> tuple[Histogram, ...]:
        missing: Counter[str] = Counter()
        for (detector, _), images in self.unscored.items():
            missing[detector] += images
        return tuple(self._histogram(name, missing[name]) for name in sorted(self._values))

    def worst(self) -> list[Row]:
        return [row for _, _, row in sorted(self._worst, key=lambda entry: entry[0], reverse=True)]

    def _count_person(self, row: Row, outcome: Outcome) -> None:
        passed, refused = row.decision == Outcome.ACCEPT, row.decision == Outcome.REJECT
        if outcome is Outcome.ACCEPT:
            self._plain["audited"] += passed or refused
            self._plain["audited_bad"] += refused
            self._plain["shippable"] += not refused
        elif outcome is not Outcome.FAILED:
            self._plain["shippable"] += passed
            self._plain["waiting"] += outcome is Outcome.REVIEW and not (passed or refused)

    def _slice(self, row: Row, *, passed: bool) -> None:
        for name in row.fields.keys() - self._fields.keys():
            late: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
            if self._rows:
                late[_NO_VALUE] = [self._plain["passed_rows"], self._rows]
            self._fields[name] = late
        for name, values in self._fields.items():
            if values is None:
                continue
            cell = values[row.fields.get(name) or _NO_VALUE]
            cell[0] += passed
            cell[1] += 1
            if len(values) > _MOST_VALUES:
                self._fields[name] = None
        self._plain["passed_rows"] += passed

    def _rank(self, values: dict[str, list[int]]) -> tuple[Slice, ...]:
        overall = self._outcomes[Outcome.ACCEPT] / self._rows
        level = 1 - 0.05 / len(values)
        found = [
            Slice(value, wilson(passed, of), below=wilson(passed, of, level=level).high < overall)
            for value, (passed, of) in values.items()
        ]
        return tuple(sorted(found, key=lambda one: (one.passed.rate or 0.0, -one.passed.of, one.value)))

    def _note_limit(self, finding: Finding, row: Row) -> None:
        # Only a finding about the raw number of this detector can be drawn over its histogram: a finding may instead
        # carry a p-value or a share under the same name.
        raw = row.measures.get(finding.kind)
        if raw is None or finding.threshold is None or finding.value is None or finding.value != raw:
            return
        if math.isfinite(finding.threshold) and finding.value != finding.threshold:
            self._limits[finding.kind][finding.threshold, finding.value < finding.threshold] += 1

    def _offer(self, row: Row) -> None:
        """Keep the most doubtful rows: rejected before flagged before accepted, then the smallest joint p."""
        rank = {Outcome.REJECT: 2, Outcome.REVIEW: 1}.get(row.outcome, 0)
        key = (rank, -(row.joint_p if row.joint_p is not None else 1.0), -row.item_index)
        # `_rows` breaks ties so that rows are never compared.
        entry = (key, -self._rows, row)
        if len(self._worst) < WORST_KEPT:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    def _histogram(self, detector: str, unscored: int) -> Histogram:
        values = np.frombuffer(self._values[detector], dtype=np.float64)
        accepted = np.frombuffer(self._accepted[detector], dtype=np.int8).astype(bool)
        limits = tuple(Limit(value, least, images) for (value, least), images in sorted(self._limits[detector].items()))
        edges = _edges(values, [limit.value for limit in limits])
        # Whatever lies beyond the axis stands in the outermost bins: nothing of a run is hidden.
        drawn = np.clip(values, edges[0], edges[-1])
        p05, median, p95 = (float(q) for q in np.quantile(values, (0.05, 0.5, 0.95)))
        return Histogram(
            detector=detector,
            scored=len(values),
            unscored=unscored,
            edges=tuple(float(edge) for edge in edges),
            accepted=tuple(int(n) for n in np.histogram(drawn[accepted], edges)[0]),
            others=tuple(int(n) for n in np.histogram(drawn[~accepted], edges)[0]),
            below=int((values < edges[0]).sum()),
            above=int((values > edges[-1]).sum()),
            p05=p05,
            median=median,
            p95=p95,
            limits=limits,
            told=self._tell(detector),
        )

    def _tell(self, detector: str) -> Told | None:
        if detector not in self._decided:
            return None
        refused, passed = (np.frombuffer(values, dtype=np.float64) for values in self._decided[detector])
        if min(len(refused), len(passed)) < _FEWEST_DECIDED:
            return None
        ranks = rankdata(np.concatenate([refused, passed]))[: len(refused)].sum()
        pairs = len(refused) * len(passed)
        auroc = (ranks - len(refused) * (len(refused) + 1) / 2) / pairs
        return Told(float(auroc), len(refused), len(passed))


def reasons_of(row: Row) -> dict[str, str]:
    """Reason code -> first message; a failed row without findings counts under `failed`."""
    found: dict[str, str] = {}
    for finding in row.reasons:
        found.setdefault(finding.kind, finding.message)
    if not found and (row.outcome is Outcome.FAILED or row.relpath is None):
        found["failed"] = row.error or "No picture was made."
    return found


def _place(name: str) -> int:
    return _FIRST_FIELDS.index(name.lower()) if name.lower() in _FIRST_FIELDS else len(_FIRST_FIELDS)


def _edges(
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]", limits: Iterable[float]
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Equal bins over the central 99 % and the limits, so that one wild value does not flatten the picture."""
    low, high = (float(q) for q in np.quantile(values, (0.005, 0.995)))
    shown = [limit for limit in limits if low - 3 * (high - low) <= limit <= high + 3 * (high - low)]
    # A limit at the very edge would read as the end of the axis.
    margin = 0.06 * (high - low)
    low, high = min([low, *(limit - margin for limit in shown)]), max([high, *(limit + margin for limit in shown)])
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        # All values alike: one full bin in the middle of a readable axis.
        margin = max(abs(low) * 0.05, 1e-6)
        low, high = low - margin, high + margin
    return np.linspace(low, high, _BINS + 1)
