"""The licence gate: all rules on what is to be done and the model's card, before any weight is loaded."""

from functools import cache
from typing import cast

from qcgen.core.registry import scan
from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.protocol import Rule, Work

_ORDER = (Severity.BLOCK, Severity.WARN, Severity.INFO)


def check_licences(work: Work, card: Card) -> list[Finding]:
    """Findings of every rule, blocking ones first; work with a blocking one must not begin."""
    findings = [finding for rule in rules().values() for finding in rule.check(work, card)]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.severity))


@cache
def rules() -> dict[str, Rule]:
    """The rules by name."""
    return {name: cast(Rule, plugin()) for name, plugin in scan("qcgen.govern.rules").items()}
