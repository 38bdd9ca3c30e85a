"""Accept, review or reject: pure, from scores and a policy; reads no pixels."""

from collections.abc import Mapping, Sequence

from qcgen.core.types import Finding, Measure, Outcome, Score, Severity, Unscored, Verdict
from qcgen.qc.conformal import combine, joint_p_value, p_value
from qcgen.qc.policy import Policy, Rule


def judge(measures: Sequence[Measure], policy: Policy, *, extra: Sequence[Finding] = ()) -> Verdict:
    """The policy's answer for one picture.

    A value beyond a ceiling rejects. A detector flags where its p-value brings the joint p to alpha and its value is
    beyond its floor; a flag, or a required score that is missing, asks for a person. `extra` are findings of others
    (duplicates, non-finite values): `block` rejects, `warn` asks for a person, `info` is listed.
    """
    by_name = {measure.detector: measure for measure in measures}
    values = {rule.detector: _value(by_name.get(rule.detector), rule) for rule in policy.rules}
    p_values = {
        rule.detector: p_value(rule.badness(value), rule.reference)
        for rule in policy.rules
        if rule.reference is not None and (value := values[rule.detector]) is not None
    }
    found = list(extra)
    for rule in policy.rules:
        value, p = values[rule.detector], p_values.get(rule.detector)
        if value is None:
            found += [_missing(rule, by_name.get(rule.detector))] if rule.required else []
        elif rule.ceiling is not None and rule.beyond(value, rule.ceiling):
            found.append(_finding(rule, Severity.BLOCK, value, rule.ceiling, p))
        elif p is not None and _flags(rule, value, p, policy):
            found.append(_finding(rule, Severity.WARN, value, _limit(rule), p))
    statistic = combine(p_values, {rule.detector: rule.importance for rule in policy.rules})
    return Verdict(
        outcome=_outcome(found),
        reasons=tuple(sorted(found, key=_order)),
        joint_p=joint_p_value(statistic, policy.joint) if p_values else None,
        policy_sha256=policy.sha256,
    )


def _value(measure: Measure | None, rule: Rule) -> float | None:
    """The score, unless another version of the detector made it."""
    return measure.value if isinstance(measure, Score) and measure.version == rule.version else None


def _flags(rule: Rule, value: float, p: float, policy: Policy) -> bool:
    rare = joint_p_value(p / rule.importance, policy.joint) <= policy.alpha
    return rare and (rule.floor is None or rule.beyond(value, rule.floor))


def _limit(rule: Rule) -> float | None:
    """The stricter of floor and calibrated limit: what the value had to stay within."""
    limits = [limit for limit in (rule.floor, rule.limit) if limit is not None]
    return max(limits, key=rule.badness, default=None)


def _outcome(found: Sequence[Finding]) -> Outcome:
    severities = {finding.severity for finding in found}
    if Severity.BLOCK in severities:
        return Outcome.REJECT
    return Outcome.REVIEW if Severity.WARN in severities else Outcome.ACCEPT


_RANK: Mapping[Severity, int] = {Severity.BLOCK: 0, Severity.WARN: 1, Severity.INFO: 2}


def _order(finding: Finding) -> tuple[int, float, str]:
    """Hard limits and rules first, then the least likely score; findings without a p are certain."""
    return _RANK[finding.severity], float(finding.evidence.get("p", 0.0)), finding.kind


def _finding(rule: Rule, severity: Severity, value: float, limit: float | None, p: float | None) -> Finding:
    side = "below" if rule.higher_is_better else "above"
    bound = "hard limit" if severity is Severity.BLOCK else "limit"
    chance = "" if p is None else f", p {p:.4f}"
    return Finding(
        kind=rule.detector,
        severity=severity,
        message=f"{rule.detector} {value:.4g} {rule.unit}: {side} the {bound} {_text(limit)}{chance}.",
        value=value,
        threshold=limit,
        evidence={} if p is None else {"p": f"{p:.6f}"},
    )


def _text(limit: float | None) -> str:
    return "of the calibration" if limit is None else f"{limit:.4g}"


def _missing(rule: Rule, measure: Measure | None) -> Finding:
    if isinstance(measure, Unscored):
        why = measure.reason
    else:
        why = "absent" if measure is None else f"version {measure.version}, the policy needs {rule.version}"
    return Finding(
        kind="missing_score",
        severity=Severity.WARN,
        message=f"missing_score: {rule.detector} is required and has no value ({why}).",
        evidence={"detector": rule.detector, "reason": why},
    )
