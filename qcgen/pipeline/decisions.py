"""What people decided, read from a table with the columns of a sample or of a report's decisions.csv."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcgen.core.errors import SpecError
from qcgen.core.wording import Problems, plain, show

COLUMNS = ("image_id", "decision", "reason", "sampled_as")
SAMPLED_AS = ("", "flagged", "audit", "gold")
_CHOICES = {"regenerate": "reject"}
_KINDS = {"flagged": "flagged", "audit": "audit", "seed": "gold"}


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word on one picture.

    Attributes:
        decision: `accept` or `reject`.
        sampled_as: why it was looked at: `flagged`, `audit` (drawn from the accepted), `gold` (a known answer); "" if
            that is not told.
    """

    image_id: str
    decision: str
    reason: str = ""
    sampled_as: str = ""


def parse_decisions(name: str, columns: Mapping[str, Sequence[str]]) -> list[Decision]:
    """Rows with a decision; those that are still empty, were skipped or no longer stand are left out.

    Of a report's decisions.csv, `regenerate` counts as reject, and the column `kind` says what was sampled.

    Raises:
        SpecError: a column is missing, or a cell says something else; lists all.
    """
    lacking = [one for one in COLUMNS[:2] if one not in columns]
    if lacking:
        raise SpecError(f"{name}: lacks the column {', '.join(lacking)}. Cure: columns {', '.join(COLUMNS)}.")
    n = len(columns["image_id"])
    empty = [""] * n
    superseded, kinds = columns.get("superseded", empty), columns.get("kind", empty)
    cells = zip(*(columns.get(one, empty) for one in COLUMNS), kinds, superseded, strict=True)
    found = [
        Decision(image_id, _CHOICES.get(said, said), reason, sampled_as or _KINDS.get(kind, ""))
        for image_id, said, reason, sampled_as, kind, gone in cells
        if said not in ("", "skip") and gone != "1"
    ]
    problems = Problems()
    for one in found:
        if one.decision not in ("accept", "reject"):
            rule = f"must be accept or reject (got {show(one.decision)})"
            problems.add("decisions", f"{name} {plain(one.image_id)}: decision {rule}. Cure: one of these.")
        if one.sampled_as not in SAMPLED_AS:
            rule = f"must be flagged, audit, gold or empty (got {show(one.sampled_as)})"
            problems.add("sampled_as", f"{name} {plain(one.image_id)}: sampled_as {rule}. Cure: one of these.")
    problems.stop_if_any()
    return found
