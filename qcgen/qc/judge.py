"""Accept, review or reject: pure, from scores and a policy; reads no pixels."""

from collections.abc import Mapping, Sequence

from qcgen.core.types import Finding, Measure, Outcome, Score, Severity, Unscored, Verdict
from qcgen.qc.conformal import combine, joint_p_value, p_value
from qcgen.qc.policy import Level, Policy, Rule
from qcgen.qc.stale import stamp


def judge(
    measures: Sequence[Measure],
    policy: Policy,
    *,
    extra: Sequence[Finding] = (),
    fields: Mapping[str, str] | None = None,
) -> Verdict:
    """The policy's answer for one picture.

    A value beyond a ceiling rejects. A detector flags where its p-value brings the joint p to alpha and its value is
    beyond its floor; a flag, or a required score that is missing, asks for a person. `extra` are findings of others
    (duplicates, non-finite values): `block` rejects, `warn` asks for a person, `info` is listed. `fields` (with
    `size_px`) choose the picture's group; the evidence of a grouped policy's findings names it.
    """
    level = policy.level(fields or {})
    by_name = {measure.detector: measure for measure in measures}
    values = {rule.detector: _value(by_name.get(rule.detector), rule) for rule in level.rules}
    found_p = _p_values(values, level)
    found = [*extra, *stamp(policy.stale)]
    group = {"level": level.name} if policy.group_by else {}
    for rule in level.rules:
        value, p = values[rule.detector], found_p.get(rule.detector)
        facts = _facts(by_name.get(rule.detector))
        if value is None:
            found += [_missing(rule, by_name.get(rule.detector))] if rule.required else []
        elif rule.ceiling is not None and rule.beyond(value, rule.ceiling):
            found.append(_finding(rule, Severity.BLOCK, value, rule.ceiling, p, group, facts))
        elif p is not None and _flags(rule, value, p, level, policy.alpha):
            found.append(_finding(rule, Severity.WARN, value, _limit(rule, value), p, group, facts))
    statistic = combine(found_p, {rule.detector: rule.importance for rule in level.rules})
    return Verdict(
        outcome=_outcome(found),
        reasons=tuple(sorted(found, key=_order)),
        joint_p=joint_p_value(statistic, level.joint) if found_p else None,
        policy_sha256=policy.sha256,
    )


def p_values(
    measures: Sequence[Measure], policy: Policy, *, fields: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Each calibrated detector's own p-value, where it has a score."""
    level = policy.level(fields or {})
    by_name = {measure.detector: measure for measure in measures}
    return _p_values({rule.detector: _value(by_name.get(rule.detector), rule) for rule in level.rules}, level)


def flag_p_value(measures: Sequence[Measure], policy: Policy, *, fields: Mapping[str, str] | None = None) -> float:
    """The smallest alpha at which the policy would flag the picture; 1 where no value is beyond its floor."""
    level = policy.level(fields or {})
    by_name = {measure.detector: measure for measure in measures}
    found = [1.0]
    for rule in level.rules:
        value = _value(by_name.get(rule.detector), rule)
        if rule.reference is not None and value is not None and _noticeable(rule, value):
            p = p_value(rule.badness(value), rule.reference, two_sided=rule.two_sided)
            found.append(joint_p_value(p / rule.importance, level.joint))
    return min(found)


def _p_values(values: Mapping[str, float | None], level: Level) -> dict[str, float]:
    return {
        rule.detector: p_value(rule.badness(value), rule.reference, two_sided=rule.two_sided)
        for rule in level.rules
        if rule.reference is not None and (value := values[rule.detector]) is not None
    }


def _value(measure: Measure | None, rule: Rule) -> float | None:
    """The score, unless another version of the detector made it."""
    return measure.value if isinstance(measure, Score) and measure.version == rule.version else None


def _flags(rule: Rule, value: float, p: float, level: Level, alpha: float) -> bool:
    return joint_p_value(p / rule.importance, level.joint) <= alpha and _noticeable(rule, value)


def _noticeable(rule: Rule, value: float) -> bool:
    """Beyond the floor of the value's side, if there is one."""
    if _too_good(rule, value):
        return rule.other_floor is None or rule.badness(value) < rule.badness(rule.other_floor)
    return rule.floor is None or rule.beyond(value, rule.floor)


def _too_good(rule: Rule, value: float) -> bool:
    """Whether it is the good side on which a two-sided rule finds the value unusual."""
    if not rule.two_sided or rule.reference is None:
        return False
    bad_side = p_value(rule.badness(value), rule.reference)
    return p_value(rule.badness(value), rule.reference, two_sided=True) < min(1.0, 2 * bad_side)


def _limit(rule: Rule, value: float) -> float | None:
    """The stricter of floor and calibrated limit on the value's side: what it had to stay within."""
    if _too_good(rule, value):
        limits = [limit for limit in (rule.other_floor, rule.other_limit) if limit is not None]
        return min(limits, key=rule.badness, default=None)
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


def _finding(
    rule: Rule,
    severity: Severity,
    value: float,
    limit: float | None,
    p: float | None,
    group: Mapping[str, str],
    facts: Mapping[str, str],
) -> Finding:
    good_side = severity is Severity.WARN and _too_good(rule, value)
    side = "below" if rule.higher_is_better != good_side else "above"
    bound = "hard limit" if severity is Severity.BLOCK else "limit"
    chance = "" if p is None else f", p {p:.4f}"
    return Finding(
        kind=rule.detector,
        severity=severity,
        message=f"{rule.detector} {value:.4g} {rule.unit}: {side} the {bound} {_text(limit)}{chance}.",
        value=value,
        threshold=limit,
        evidence={**facts, **({} if p is None else {"p": f"{p:.6f}", **group})},
    )


def _facts(measure: Measure | None) -> Mapping[str, str]:
    return measure.evidence if isinstance(measure, Score) else {}


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
