"""A model that does not say what it descends from."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.protocol import Work

_EXAMPLE = (
    '{"name": "shop-teacher", "kind": "teacher", "licence": "Apache-2.0", '
    '"lineage": [{"relation": "trained_on", "parent": "own photos", "licence": "LicenseRef-own"}]}'
)


class UndeclaredLineage:
    """Undeclared lineage blocks a commercial job and warns a research job."""

    name: ClassVar[str] = "undeclared_lineage"

    def check(self, work: Work, card: Card) -> list[Finding]:
        if card.declared and card.lineage:
            return []
        lacks = "lists no lineage" if card.declared else "does not declare what the model descends from"
        message = (
            f"The card of {work.model} {lacks}. Write teachers and training data with licences into qcgen_model.json."
        )
        if work.act != "generate":
            message += f" Such as: {_EXAMPLE}"
        severity = Severity.BLOCK if work.purpose == "commercial" else Severity.WARN
        return [Finding(self.name, severity, message, evidence={"model": work.model})]
