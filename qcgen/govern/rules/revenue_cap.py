"""Licences that are free only for small firms."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.families import sources_of
from qcgen.govern.protocol import Work


class RevenueCap:
    """A revenue-capped licence blocks a commercial job: it needs a yearly attestation, which cannot be recorded yet."""

    name: ClassVar[str] = "revenue_cap"

    def check(self, work: Work, card: Card) -> list[Finding]:
        severity = Severity.BLOCK if work.purpose == "commercial" else Severity.WARN
        return [
            Finding(
                self.name,
                severity,
                f"{source.what} is under {source.licence!r}: free only below a yearly revenue, to be attested.",
                evidence=source.evidence(family),
            )
            for source in sources_of(card)
            for family in source.families
            if family.revenue_cap
        ]
