"""decisions.csv: every answer of every person, also those that no longer stand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qcgen.core.review import Choice, Decision, Kind, alias_of
from qcgen.core.types import Outcome, Row

COLUMNS = (
    "run_id", "image_id", "sku", "attempt", "file_sha256", "verdict", "decision", "kind", "stratum", "inclusion_p",
    "reviewer", "code", "note", "dwell_ms", "blind", "bulk_id", "ui", "created_at", "superseded",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Facts:
    """All None for a seed, which no row knows."""

    sku: str | None = None
    attempt: int | None = None
    verdict: str | None = None


class DecisionRows:
    """Decisions with what the rows say of their pictures; of the rows only that is kept."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._decisions = list(decisions)
        self._wanted = {one.image_id for one in self._decisions}
        self._facts: dict[str, _Facts] = {}

    def see(self, row: Row) -> None:
        if row.image_id in self._wanted:
            verdict = row.outcome if row.relpath is not None else Outcome.FAILED
            self._facts[row.image_id] = _Facts(row.sku, row.attempt, str(verdict))

    def rows(self) -> Iterator[list[str | int | float | None]]:
        """In the order in which people answered."""
        settled = {one.image_id for one in self._decisions if one.kind is Kind.DISPUTE and _says(one)}
        for one in self._decisions:
            facts, answer = self._facts.get(one.image_id, _Facts()), one.answer
            superseded = one.withdrawn or (one.image_id in settled and one.kind is not Kind.DISPUTE)
            yield [
                one.run_id, one.image_id, facts.sku, facts.attempt, answer.image_sha256,
                facts.verdict, str(answer.choice), str(one.kind), one.stratum, one.inclusion_p,
                alias_of(one.reviewer), answer.code, answer.note, answer.dwell_ms, int(answer.blind), answer.bulk_id,
                answer.ui, one.created_at, int(superseded),
            ]  # fmt: skip


def _says(one: Decision) -> bool:
    return not one.withdrawn and one.answer.choice is not Choice.SKIP
