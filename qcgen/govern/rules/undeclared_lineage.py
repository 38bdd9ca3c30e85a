"""A model that does not say what it descends from."""

from typing import ClassVar

from qcgen.core.job import JobSpec
from qcgen.core.types import Card, Finding, Severity


class UndeclaredLineage:
    """Undeclared lineage blocks a commercial job and warns a research job."""

    name: ClassVar[str] = "undeclared_lineage"

    def check(self, job: JobSpec, card: Card) -> list[Finding]:
        if card.declared and card.lineage:
            return []
        lacks = "lists no lineage" if card.declared else "does not declare what the model descends from"
        message = (
            f"The card of {job.model} {lacks}. Write teachers and training data with licences into qcgen_model.json."
        )
        severity = Severity.BLOCK if job.purpose == "commercial" else Severity.WARN
        return [Finding(self.name, severity, message, evidence={"model": job.model})]
