"""What a whole run must satisfy before it is delivered: no missing items, an acceptance number, a flag rate."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy.special import bdtr

from qcgen.core.job import GateSpec
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity

FLAG_RATE = "gate_flag_rate"
AQL = "gate_aql"
FAILED = "gate_failed_items"
NEEDED_RUNS = 20
_PRODUCER_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of a run by what stands for them; `retried` counts attempts beyond the first."""

    accepted: int = 0
    flagged: int = 0
    rejected: int = 0
    failed: int = 0
    retried: int = 0

    @property
    def generated(self) -> int:
        return self.accepted + self.flagged + self.rejected


def count(rows: Iterable[Row]) -> Counts:
    """Counts of the rows that stand."""
    tally = dict.fromkeys(Outcome, 0)
    retried = 0
    for row in rows:
        tally[row.outcome] += 1
        retried += row.attempt - 1
    return Counts(tally[Outcome.ACCEPT], tally[Outcome.REVIEW], tally[Outcome.REJECT], tally[Outcome.FAILED], retried)


def judge_gates(counts: Counts, gate: GateSpec, history: Sequence[RunInfo]) -> tuple[Finding, ...]:
    """One finding per gate: `block` is red, `info` passed or still learns what is normal.

    Args:
        history: earlier runs of the same job, newest first; complete ones that kept their flag rate are used.
    """
    flag_rate = _judge_flag_rate(counts, gate, history)
    return (_judge_failed(counts), _judge_aql(counts, gate.aql), *([flag_rate] if flag_rate else []))


def acceptance_number(lot: int, aql: float) -> int:
    """Most rejects that a lot of `lot` may have and pass: one at exactly `aql` per cent passes 95 times in 100.

    The whole lot is inspected, so this is the binomial bound and no sampling table.
    """
    allowed = 0
    while allowed < lot and bdtr(allowed, lot, aql / 100) < _PRODUCER_CONFIDENCE:
        allowed += 1
    return allowed


def _judge_failed(counts: Counts) -> Finding:
    if counts.failed:
        message = f"{counts.failed} items have no picture (the model gave none that could be shown)."
        return Finding(FAILED, Severity.BLOCK, message, float(counts.failed), 0.0)
    return Finding(FAILED, Severity.INFO, "Every item has a picture.", 0.0, 0.0)


def _judge_aql(counts: Counts, aql: float) -> Finding:
    allowed = acceptance_number(counts.generated, aql)
    red = counts.rejected > allowed
    verb = "more than" if red else "within"
    lot = f"{counts.rejected} of {counts.generated} items are rejected after every retry"
    message = f"{lot}, {verb} the {allowed} that AQL {aql:g} % allows."
    return Finding(AQL, Severity.BLOCK if red else Severity.INFO, message, float(counts.rejected), float(allowed))


def _judge_flag_rate(counts: Counts, gate: GateSpec, history: Sequence[RunInfo]) -> Finding | None:
    if not counts.generated:
        return None
    share = (counts.flagged + counts.rejected) / counts.generated
    size = {"items": str(counts.generated)}
    found = f"{share:.1%} of the items are flagged or rejected"
    if gate.flag_rate != "spc":
        return _compare(share, gate.flag_rate, f"{found}; the job allows {gate.flag_rate:.1%}.", size)
    past = _past_shares(history)
    if len(past) < NEEDED_RUNS:
        # Not a warning: each of a job's first nights would carry one, and nobody could do anything about it.
        message = f"{found}; the gate still learns what is normal ({len(past)} of {NEEDED_RUNS} earlier runs)."
        return Finding(FLAG_RATE, Severity.INFO, message, share, None, size)
    limit = control_limit(past, counts.generated)
    return _compare(share, limit, f"{found}; the control limit of {len(past)} earlier runs is {limit:.1%}.", size)


def _compare(share: float, limit: float, message: str, size: Mapping[str, str]) -> Finding:
    return Finding(FLAG_RATE, Severity.BLOCK if share > limit else Severity.INFO, message, share, limit, size)


def control_limit(past: Sequence[tuple[float, int]], size: int) -> float:
    """Upper limit of Laney's p' chart for a run of `size` items, from (share, items) of earlier runs in time order.

    Plain binomial limits are too tight, as runs differ by their prompts; p' widens them by the variation seen between
    neighbours.
    """
    centre = sum(share * items for share, items in past) / sum(items for _, items in past)
    spread = math.sqrt(centre * (1 - centre))
    if spread == 0:
        return centre
    z = [(share - centre) / (spread / math.sqrt(items)) for share, items in past]
    # 1.128: expected range of two standard normal values.
    between = sum(abs(after - before) for before, after in pairwise(z)) / (len(z) - 1) / 1.128
    return min(1.0, centre + 3 * spread / math.sqrt(size) * max(1.0, between))


def _past_shares(history: Sequence[RunInfo]) -> list[tuple[float, int]]:
    """Oldest first."""
    kept = [
        gate for run in reversed(history) if run.status == "complete" for gate in run.gates if gate.kind == FLAG_RATE
    ]
    return [
        (gate.value, int(gate.evidence["items"]))
        for gate in kept
        if gate.value is not None and "items" in gate.evidence
    ]
