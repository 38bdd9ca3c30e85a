"""Duties that come with a licence: use restrictions to hand on, names to give, notices to show."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.families import sources_of
from qcgen.govern.protocol import Work


class LicenceDuties:
    """Every duty of a licence in the lineage is a warning that says what to do."""

    name: ClassVar[str] = "licence_duties"

    def check(self, work: Work, card: Card) -> list[Finding]:
        return [
            Finding(
                self.name,
                Severity.WARN,
                f"{source.what} is under {source.licence!r}: {duty}.",
                evidence=source.evidence(family) | {"duty": duty},
            )
            for source in sources_of(card)
            for family in source.families
            if not (family.non_commercial and work.purpose == "commercial")
            for duty in family.duties
        ]
