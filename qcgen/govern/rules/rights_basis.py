"""Whose pictures these will be, and why."""

from typing import ClassVar

from qcgen.core.job import JobSpec
from qcgen.core.types import Card, Finding, Severity


class RightsBasis:
    """A commercial job should say who owns the pictures and on what ground."""

    name: ClassVar[str] = "rights_basis"

    def check(self, job: JobSpec, card: Card) -> list[Finding]:
        rights = job.governance.rights
        missing = [
            key for key, value in (("owner", rights.owner), ("basis", rights.basis)) if not (value or "").strip()
        ]
        if job.purpose != "commercial" or not missing:
            return []
        keys = " and ".join(f"governance.rights.{key}" for key in missing)
        message = f"A commercial job without {keys}. Say who owns the pictures, and on what ground."
        return [Finding(self.name, Severity.WARN, message, evidence={"missing": ", ".join(missing)})]
