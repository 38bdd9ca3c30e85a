"""A licence that nobody declared, or that the table does not know."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.families import Source, sources_of
from qcgen.govern.protocol import Work


class UnknownLicence:
    """A missing or unrecognised licence, anywhere in the lineage, blocks a commercial job and warns a research job."""

    name: ClassVar[str] = "unknown_licence"

    def check(self, work: Work, card: Card) -> list[Finding]:
        if not card.declared:
            return []  # undeclared_lineage has said so
        severity = Severity.BLOCK if work.purpose == "commercial" else Severity.WARN
        unknown = [source for source in sources_of(card) if source.missing or not source.families]
        return [Finding(self.name, severity, _message(source), evidence=source.evidence()) for source in unknown]


def _message(source: Source) -> str:
    if source.missing:
        return f"No licence is declared for {source.what}. Name it in qcgen_model.json."
    return f"The licence {source.licence!r} of {source.what} is not in the table. Read it and add it to licences.json."
