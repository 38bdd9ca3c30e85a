"""What a rule is: one file in `govern/rules`, found by the registry."""

from typing import Protocol

from qcgen.core.job import JobSpec
from qcgen.core.types import Card, Finding


class Rule(Protocol):
    """A rule of the licence gate. Pure: it sees what was declared, reads no file and raises nothing.

    Attributes:
        name: the findings' kind, and the rule's id in reports.
    """

    name: str

    def check(self, job: JobSpec, card: Card) -> list[Finding]:
        """Breaches; `block` stops the job before any weight is loaded, `warn` is printed and recorded."""
        ...
