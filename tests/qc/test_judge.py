"""Verdicts from scores alone: each rule of the policy, one by one."""

import dataclasses

import pytest

from qcgen.core.types import Finding, Measure, Outcome, Score, Severity, Unscored
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy, Rule

_REFERENCE = tuple(i / 100 for i in range(100))


def _rule(name: str, *, higher_is_better: bool = False, **changes: object) -> Rule:
    plain = Rule(
        detector=name,
        version=1,
        unit="ratio",
        higher_is_better=higher_is_better,
        importance=1.0,
        floor=None,
        ceiling=None,
        required=False,
        reference=tuple(sorted(-score for score in _REFERENCE)) if higher_is_better else _REFERENCE,
        limit=0.01 if higher_is_better else 0.98,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def _policy(*rules: Rule) -> Policy:
    """Joint statistics of pictures whose smallest p is spread evenly: the joint p is about the smallest p."""
    joint = tuple(i / 101 + 0.001 for i in range(1, 101))
    return Policy("test", 0.02, 24, rules, joint, "0" * 64)


def _scores(**values: float) -> list[Measure]:
    return [Score(name, 1, value) for name, value in values.items()]


def test_a_usual_value_is_accepted() -> None:
    verdict = judge(_scores(blur=0.5), _policy(_rule("blur")))
    assert (verdict.outcome, verdict.reasons) == (Outcome.ACCEPT, ())
    assert verdict.joint_p is not None
    assert verdict.joint_p > 0.4
    assert verdict.policy_sha256 == "0" * 64


def test_a_value_worse_than_all_of_the_reference_asks_for_a_person() -> None:
    verdict = judge(_scores(blur=1.2), _policy(_rule("blur")))
    assert verdict.outcome is Outcome.REVIEW
    (reason,) = verdict.reasons
    assert (reason.kind, reason.value, reason.threshold) == ("blur", 1.2, 0.98)
    assert "1.2" in reason.message
    assert "0.98" in reason.message


def test_a_tie_with_the_limit_is_not_flagged() -> None:
    assert judge(_scores(blur=0.98), _policy(_rule("blur"))).outcome is Outcome.ACCEPT
    assert judge(_scores(blur=0.981), _policy(_rule("blur"))).outcome is Outcome.REVIEW


def test_a_rare_value_within_the_floor_is_not_flagged() -> None:
    policy = _policy(_rule("blur", floor=1.5))
    assert judge(_scores(blur=1.2), policy).outcome is Outcome.ACCEPT
    assert judge(_scores(blur=1.6), policy).outcome is Outcome.REVIEW


def test_where_higher_is_better_low_values_flag() -> None:
    policy = _policy(_rule("margin", higher_is_better=True, floor=-0.1))
    assert judge(_scores(margin=2.0), policy).outcome is Outcome.ACCEPT
    assert judge(_scores(margin=-0.05), policy).outcome is Outcome.ACCEPT
    verdict = judge(_scores(margin=-0.2), policy)
    assert verdict.outcome is Outcome.REVIEW
    assert verdict.reasons[0].threshold == -0.1
    assert "below" in verdict.reasons[0].message


def test_a_ceiling_rejects_even_without_a_calibration() -> None:
    policy = _policy(_rule("blank", ceiling=-0.6, reference=None, limit=None))
    verdict = judge(_scores(blank=4.0), policy)
    assert (verdict.outcome, verdict.joint_p) == (Outcome.REJECT, None)
    assert verdict.reasons[0].severity is Severity.BLOCK


def test_an_uncalibrated_detector_without_a_ceiling_never_gates() -> None:
    policy = _policy(_rule("clip", reference=None, limit=None))
    assert judge(_scores(clip=1e6), policy).outcome is Outcome.ACCEPT


@pytest.mark.parametrize(
    "measures",
    [[], [Unscored("blur", 1, "too_small")], [Score("blur", 2, 0.1)]],
    ids=["absent", "unscored", "other_version"],
)
def test_missing_required_score_gives_review(measures: list[Measure]) -> None:
    verdict = judge(measures, _policy(_rule("blur", required=True)))
    assert verdict.outcome is Outcome.REVIEW
    assert verdict.reasons[0].kind == "missing_score"
    assert verdict.reasons[0].evidence["detector"] == "blur"


def test_a_missing_score_that_is_not_required_is_let_pass() -> None:
    assert judge([Unscored("blur", 1, "no_edges")], _policy(_rule("blur"))).outcome is Outcome.ACCEPT


@pytest.mark.parametrize(
    ("severity", "outcome"),
    [(Severity.BLOCK, Outcome.REJECT), (Severity.WARN, Outcome.REVIEW), (Severity.INFO, Outcome.ACCEPT)],
)
def test_findings_of_others_count_by_their_severity(severity: Severity, outcome: Outcome) -> None:
    extra = [Finding("near_duplicate", severity, "near_duplicate: 3 bits.")]
    verdict = judge(_scores(blur=0.5), _policy(_rule("blur")), extra=extra)
    assert verdict.outcome is outcome
    assert verdict.reasons == tuple(extra)


def test_reasons_come_hard_limits_first_then_by_p() -> None:
    policy = _policy(
        _rule("a", reference=_REFERENCE[:60]), _rule("b"), _rule("c", ceiling=5.0), _rule("d", importance=4.0)
    )
    verdict = judge(_scores(a=1.5, b=1.5, c=9.0, d=0.97), policy)
    assert verdict.outcome is Outcome.REJECT
    assert [reason.kind for reason in verdict.reasons] == ["c", "b", "a", "d"]


def test_a_small_importance_makes_a_detector_less_easily_heard() -> None:
    assert judge(_scores(cast=1.2), _policy(_rule("cast", importance=0.4))).outcome is Outcome.ACCEPT
    assert judge(_scores(cast=1.2), _policy(_rule("cast", importance=1.0))).outcome is Outcome.REVIEW
