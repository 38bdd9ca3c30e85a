"""What a rule is, and what it looks at; one rule is one file in `govern/rules`, found by the registry."""

from dataclasses import dataclass
from typing import Literal, Protocol

from qcgen.core.job import JobSpec, RightsSpec
from qcgen.core.types import Card, Finding

Act = Literal["generate", "distil", "export"]
"""What is done with a model: pictures, a student of it, a copy of it to pass on."""


@dataclass(frozen=True, slots=True)
class Work:
    """What somebody is about to do.

    Attributes:
        act: what is done.
        purpose: `commercial` or `research`.
        model: the model's name or folder, for messages.
        rights: who owns the pictures and why; only pictures have them.
    """

    act: Act
    purpose: Literal["commercial", "research"]
    model: str
    rights: RightsSpec | None = None

    @classmethod
    def of_job(cls, job: JobSpec) -> "Work":
        """A generation job's."""
        return cls("generate", job.purpose, job.model, job.governance.rights)


class Rule(Protocol):
    """A rule of the licence gate. Pure: it sees what was declared, reads no file and raises nothing.

    Attributes:
        name: the findings' kind, and the rule's id in reports.
    """

    name: str

    def check(self, work: Work, card: Card) -> list[Finding]:
        """Breaches; `block` stops the work before any weight is loaded, `warn` is printed and recorded."""
        ...
