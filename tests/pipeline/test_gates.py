"""Gates of a whole run."""

from dataclasses import replace

import pytest

from qcgen.core.errors import BlockedError
from qcgen.core.job import GateSpec
from qcgen.core.types import Finding, RunInfo, Severity
from qcgen.pipeline.gates import (
    AQL,
    FAILED,
    FLAG_RATE,
    Counts,
    acceptance_number,
    judge_gates,
    refuse_red,
)


def gate_of(counts: Counts, kind: str, gate: GateSpec | None = None, history: list[RunInfo] | None = None) -> Finding:
    return next(found for found in judge_gates(counts, gate or GateSpec(), history or []) if found.kind == kind)


def past_run(share: float, *, items: int = 240, status: str = "complete") -> RunInfo:
    kept = Finding(FLAG_RATE, Severity.INFO, "m", share, None, {"items": str(items)})
    return RunInfo(
        "r", "n", status, "research", "j", "s", "{}", "m", "d", "p", items, "o", "t", None, 1.0, {}, {}, (kept,), None
    )


def test_a_missing_picture_is_red_and_none_passes() -> None:
    assert gate_of(Counts(accepted=9, failed=1), FAILED).severity is Severity.BLOCK
    assert gate_of(Counts(accepted=9), FAILED).severity is Severity.INFO


@pytest.mark.parametrize(("lot", "aql", "allowed"), [(240, 2.5, 10), (80, 2.5, 5), (1, 2.5, 0), (0, 2.5, 0)])
def test_acceptance_number_is_the_binomial_bound(lot: int, aql: float, allowed: int) -> None:
    # P(X <= 10 | 240, 2.5 %) = 0.959, P(X <= 9) = 0.919; P(X <= 5 | 80) = 0.985, P(X <= 4) = 0.9496.
    assert acceptance_number(lot, aql) == allowed


def test_rejects_beyond_the_acceptance_number_are_red() -> None:
    assert gate_of(Counts(accepted=230, rejected=10), AQL).severity is Severity.INFO
    assert gate_of(Counts(accepted=229, rejected=11), AQL).severity is Severity.BLOCK


@pytest.mark.parametrize(
    ("counts", "kind", "words"),
    [
        (Counts(accepted=9, failed=1), FAILED, "1 item has no picture"),
        (Counts(accepted=9, failed=2), FAILED, "2 items have no picture"),
        (Counts(accepted=9, rejected=1), AQL, "1 of 10 items is rejected"),
        (Counts(accepted=8, rejected=2), AQL, "2 of 10 items are rejected"),
        (Counts(rejected=1), AQL, "1 of 1 item is rejected"),
    ],
)
def test_a_gate_counts_one_item_as_one(counts: Counts, kind: str, words: str) -> None:
    assert gate_of(counts, kind).message.startswith(words)


def test_flag_rate_without_twenty_runs_learns_and_does_not_stop() -> None:
    found = gate_of(Counts(accepted=5, flagged=5), FLAG_RATE, history=[past_run(0.1)] * 19)
    assert found.severity is Severity.INFO
    assert "19 of 20 earlier runs" in found.message
    assert (found.value, found.threshold) == (0.5, None)


def test_interrupted_runs_do_not_count_as_history() -> None:
    found = gate_of(Counts(accepted=10), FLAG_RATE, history=[past_run(0.1, status="interrupted")] * 30)
    assert "0 of 20 earlier runs" in found.message


def test_flag_rate_far_above_its_history_is_red_and_within_it_passes() -> None:
    history = [past_run(0.10 + 0.02 * (-1) ** night) for night in range(20)]
    assert gate_of(Counts(accepted=70, flagged=30), FLAG_RATE, history=history).severity is Severity.BLOCK
    assert gate_of(Counts(accepted=89, flagged=11), FLAG_RATE, history=history).severity is Severity.INFO


def test_fixed_flag_rate_is_a_plain_limit() -> None:
    gate = GateSpec(flag_rate=0.2)
    assert gate_of(Counts(accepted=79, flagged=21), FLAG_RATE, gate).severity is Severity.BLOCK
    assert gate_of(Counts(accepted=80, rejected=20), FLAG_RATE, gate).severity is Severity.INFO


def test_a_run_of_failures_alone_is_judged_without_dividing_by_zero() -> None:
    assert [found.kind for found in judge_gates(Counts(failed=3), GateSpec(), [])] == [FAILED, AQL]


def test_history_is_read_by_time_whatever_else_a_run_kept() -> None:
    history = [replace(past_run(0.1), gates=())] * 25
    assert "0 of 20 earlier runs" in gate_of(Counts(accepted=3), FLAG_RATE, history=history).message


def test_a_red_gate_stops_what_would_deliver_the_run_and_says_why() -> None:
    refuse_red(past_run(0.1))
    red = replace(past_run(0.1), gates=(Finding(AQL, Severity.BLOCK, "11 of 240 items are rejected", 11.0, 10.0),))
    with pytest.raises(BlockedError, match="gate_aql: 11 of 240 items are rejected") as raised:
        refuse_red(red)
    assert "Cure:" in str(raised.value)
