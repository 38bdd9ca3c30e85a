"""What a run tells while it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's counts; all but `planned` and `done` are of this start of the program, not of earlier ones.

    Attributes:
        phase: `start` (once, after what is on disk was checked), `work`, `finish` (once).
        planned: items of the run.
        done: items that are recorded, earlier starts included.
        generated: pictures made, every attempt.
        accepted, flagged, rejected, failed: items by outcome.
        retried: attempts beyond an item's first.
        elapsed_s: wall seconds.
    """

    run_id: str
    phase: str
    planned: int
    done: int = 0
    generated: int = 0
    accepted: int = 0
    flagged: int = 0
    rejected: int = 0
    failed: int = 0
    retried: int = 0
    elapsed_s: float = 0.0
