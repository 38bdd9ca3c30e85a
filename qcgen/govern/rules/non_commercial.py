"""Commercial work with something that was given for other purposes only."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.families import sources_of
from qcgen.govern.protocol import Work


class NonCommercial:
    """A non-commercial licence anywhere in the lineage blocks commercial pictures: students inherit terms.

    What it says of distilling is `distillation`'s to tell.
    """

    name: ClassVar[str] = "non_commercial"

    def check(self, work: Work, card: Card) -> list[Finding]:
        if work.act != "generate" or work.purpose != "commercial":
            return []
        findings = []
        for source in sources_of(card):
            family = next((family for family in source.families if family.non_commercial), None)
            if family is not None:
                message = (
                    f"{source.what} is under {source.licence!r}: no commercial use. Take another model or purpose."
                )
                findings.append(Finding(self.name, Severity.BLOCK, message, evidence=source.evidence(family)))
        return findings
