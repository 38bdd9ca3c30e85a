"""The view model: all that a report says about a run, computed before anything is rendered. Frozen, without pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

from qcgen.core.evidence import Shown
from qcgen.core.reviewstats import ReviewStats
from qcgen.core.types import Finding, Outcome, RunInfo
from qcgen.report.intervals import Share


@dataclass(frozen=True, slots=True)
class Counts:
    """Items by what became of their standing attempt.

    Attributes:
        planned: items of the job.
        generated: items whose standing attempt has an image.
        failed: items whose standing attempt has none.
        accepted, flagged, rejected: the policy's verdicts; they sum to `generated`. `flagged` is the outcome `review`.
        retried: items whose standing attempt is not the first.
        waiting: flagged items that no person has accepted or rejected.
        audited, audited_bad: accepted items that a person looked at, and those refused.
        shippable: accepted and not refused, or flagged or rejected and passed by a person.
    """

    planned: int
    generated: int
    failed: int
    accepted: int
    flagged: int
    rejected: int
    retried: int
    waiting: int
    audited: int
    audited_bad: int
    shippable: int

    @property
    def finished(self) -> int:
        """Items with an end, good or bad: the base of the pass rate."""
        return self.generated + self.failed

    @property
    def missing(self) -> int:
        return max(self.planned - self.finished, 0)


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason code and the images that carry it, by outcome; `example` is one of its messages."""

    kind: str
    rejected: int
    flagged: int
    failed: int
    accepted: int
    example: str

    @property
    def images(self) -> int:
        return self.rejected + self.flagged + self.failed + self.accepted


@dataclass(frozen=True, slots=True)
class Slice:
    """Items with one value of a field. `below`: under the run's rate even after correcting for the number of slices."""

    value: str
    passed: Share
    below: bool


@dataclass(frozen=True, slots=True)
class SliceSet:
    field: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit seen in findings, with the number of images beyond it. `least`: values must be at least this."""

    value: float
    least: bool
    images: int


@dataclass(frozen=True, slots=True)
class Ghost:
    """The same detector's histogram in the run before this one; `edges` has one more entry than `counts`."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """How well a detector's number tells what people refused from what they passed.

    `auroc`: probability that a refused image has the larger number; a tie is half.
    """

    auroc: float
    refused: int
    passed: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """One detector's numbers.

    `edges` has one more entry than `accepted` and `others`, whose outermost bins also hold the `below` and `above`
    values beyond the axis.
    """

    detector: str
    scored: int
    unscored: int
    edges: tuple[float, ...]
    accepted: tuple[int, ...]
    others: tuple[int, ...]
    below: int
    above: int
    p05: float
    median: float
    p95: float
    limits: tuple[Limit, ...]
    told: Told | None = None
    ghost: Ghost | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """One doubtful image.

    Attributes:
        thumbnail: a file of the report's folder.
        href: leads to the full picture.
        evidence: what shows its reasons; the files that it names lie in the report's folder.
    """

    image_id: str
    sku: str
    prompt: str
    seed: int
    attempt: int
    outcome: Outcome
    decision: str | None
    messages: tuple[str, ...]
    joint_p: float | None
    thumbnail: str | None
    href: str | None
    evidence: tuple[Shown, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """What of the report's folder the image is shown with."""
        named = [self.thumbnail, *(name for one in self.evidence for name in (one.overlay, one.companion))]
        return tuple(name for name in named if name is not None)


@dataclass(frozen=True, slots=True)
class Night:
    """One run of the job; `passed` is None where its report is gone. `changes`: what differs from the run before."""

    run_id: str
    started_at: str
    passed: Share | None
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """Attributes not plain from their types:

    passed: accepted of finished items, Clopper-Pearson.
    missed: refused of audited items; `missed_upper` is its one-sided 95 % bound.
    worst: most doubtful first.
    nights: oldest first, this run last.
    unscored: (detector, reason) -> images.
    lost_pictures: stored images whose file could not be read for a thumbnail.
    checks: what was looked at beside the pictures (licence, audit chain), in the words of those who looked.
    review: what people's answers say together; None where nobody was asked.
    formats: of `html`, `csv` and `parquet`; what lies in the folder.
    spec: the job as it ran, empty where the run has none.
    """

    run: RunInfo
    counts: Counts
    passed: Share
    missed: Share
    missed_upper: float
    reasons: tuple[Reason, ...]
    slices: tuple[SliceSet, ...]
    histograms: tuple[Histogram, ...]
    worst: tuple[Worst, ...]
    nights: tuple[Night, ...]
    unscored: Mapping[tuple[str, str], int]
    lost_pictures: int
    attempts: int
    spec: Mapping[str, object]
    checks: tuple[Finding, ...] = ()
    review: ReviewStats | None = None
    formats: frozenset[str] = frozenset()

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the files with a row an image, a flag and a decision."""
        ends = [end for end in ("csv", "parquet") if end in self.formats]
        return tuple(f"{name}.{end}" for name in ("images", "flags", "decisions") for end in ends)
