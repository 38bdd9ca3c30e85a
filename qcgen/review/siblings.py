"""Pictures to compare with: accepted ones of the same product, and other attempts at the same picture."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from qcgen.core.types import Outcome, Row

MOST = 8
REFRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Sibling:
    """A stored file; `is_attempt` tells another attempt at the same picture from another picture of the product."""

    image_id: str
    item_index: int
    relpath: str
    file_sha256: str
    current: bool
    accepted: bool
    is_attempt: bool = False


class Siblings:
    """One run's files by product, read once and again when a picture is not among them.

    Args:
        read_rows: all attempts of the run.
    """

    def __init__(self, read_rows: Callable[[], Iterable[Row]]) -> None:
        self._read_rows = read_rows
        self._of_sku: dict[str, list[Sibling]] = {}
        self._read_at: float | None = None
        self._lock = Lock()

    def of(self, row: Row) -> tuple[Sibling, ...]:
        """At most 8, the best to compare with first; never the picture itself."""
        family = self._family(row)
        others = [one for one in family if one.image_id != row.image_id]
        products = [one for one in others if one.current and one.accepted and one.item_index != row.item_index]
        attempts = [_as_attempt(one) for one in others if one.item_index == row.item_index]
        return tuple((products[: MOST // 2] + attempts + products[MOST // 2 :])[:MOST])

    def _family(self, row: Row) -> list[Sibling]:
        with self._lock:
            family = self._of_sku.get(row.sku, [])
            known = any(one.image_id == row.image_id for one in family)
            if self._read_at is None or (not known and time.monotonic() - self._read_at > REFRESH_S):
                self._of_sku = _by_sku(self._read_rows())
                self._read_at = time.monotonic()
            return self._of_sku.get(row.sku, [])


def _by_sku(rows: Iterable[Row]) -> dict[str, list[Sibling]]:
    found: dict[str, list[Sibling]] = {}
    for row in rows:
        if row.relpath is not None and row.file_sha256 is not None:
            accepted = row.outcome is Outcome.ACCEPT
            one = Sibling(row.image_id, row.item_index, row.relpath, row.file_sha256, row.current, accepted)
            found.setdefault(row.sku, []).append(one)
    return found


def _as_attempt(one: Sibling) -> Sibling:
    return Sibling(one.image_id, one.item_index, one.relpath, one.file_sha256, one.current, one.accepted, True)
