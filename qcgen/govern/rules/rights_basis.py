"""Whose pictures these will be, and why."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.protocol import Work


class RightsBasis:
    """A commercial job should say who owns the pictures and on what ground."""

    name: ClassVar[str] = "rights_basis"

    def check(self, work: Work, card: Card) -> list[Finding]:
        rights = work.rights
        if work.act != "generate" or rights is None:
            return []
        missing = [
            key for key, value in (("owner", rights.owner), ("basis", rights.basis)) if not (value or "").strip()
        ]
        if work.purpose != "commercial" or not missing:
            return []
        keys = " and ".join(f"governance.rights.{key}" for key in missing)
        message = f"A commercial job without {keys}. Say who owns the pictures, and on what ground."
        return [Finding(self.name, Severity.WARN, message, evidence={"missing": ", ".join(missing)})]
