"""A student of a model whose licence does not allow one for this purpose."""

from typing import ClassVar

from qcgen.core.types import Card, Finding, Severity
from qcgen.govern.families import Family, Source, sources_of
from qcgen.govern.protocol import Work

_DATA = "trained_on"


class Distillation:
    """Blocks making a student, and passing one on, where a licence of its ancestors forbids it.

    A licence for research alone stands against commercial work wherever it is in the lineage. One that allows no
    derived models at all stands against every purpose, but only as the licence of a model: of training data nothing is
    distilled. One that forbids training on what it covers stands against everything.
    """

    name: ClassVar[str] = "distillation"

    def check(self, work: Work, card: Card) -> list[Finding]:
        if work.act == "generate":
            return []
        found = [(source, _against(source, work)) for source in sources_of(card)]
        return [
            Finding(self.name, Severity.BLOCK, _message(source, family, work), evidence=source.evidence(family))
            for source, family in found
            if family is not None
        ]


def _against(source: Source, work: Work) -> Family | None:
    """The strictest family that forbids it, if one does."""
    against = {"never"} if source.relation == _DATA else {"never", "none"}
    none = next((one for one in source.families if one.distillation in against), None)
    if none is not None:
        return none
    research = next((one for one in source.families if one.distillation == "research"), None)
    return research if work.purpose == "commercial" else None


def _message(source: Source, family: Family, work: Work) -> str:
    said = f"{source.what} is under {source.licence!r}"
    other = "another teacher" if work.act == "distil" else "a student of another teacher"
    if family.distillation in {"never", "none"}:
        return f"{said}: no student may be made of it for any purpose. Cure: {other}, or its owner's permission."
    return f"{said}: students for research only (got purpose commercial). Cure: {other}, or purpose: research."
