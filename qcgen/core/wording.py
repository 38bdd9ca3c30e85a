"""How mistakes are worded: values escaped and short, spelling suggestions, amounts with their nouns, many
mistakes collected before stopping."""

import difflib
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from qcgen.core.errors import SpecError

SHOWN_CHARACTERS = 60
SHOWN_OF_A_KIND = 20


def show(value: object) -> str:
    """A value as one short, escaped text: hostile characters can neither break the line nor steer a terminal."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "...")
    text = json.dumps(value, default=repr)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."


def plain(name: str) -> str:
    """A key or column as it stands where it is harmless, escaped where it is not."""
    return name if name.isprintable() and 0 < len(name) <= SHOWN_CHARACTERS else show(name)


def file_name(path: Path) -> str:
    """A path in full, escaped only where it must be."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word[:100].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def cure_of(word: str, known: Collection[str], *, limit: int = 20, beside: str = "") -> str:
    """The cure for a name that is not known: the one that was probably meant, else all there are.

    Args:
        limit: of names that are listed.
        beside: what else would do, as `, or a folder`.
    """
    meant = suggest(word, known)
    if not meant and not known:
        return f"Cure: there is none yet{beside}."
    return f"Did you mean {meant!r}?" if meant else f"Cure: one of {names(known, limit)}{beside}."


def names(known: Iterable[str], limit: int = 20) -> str:
    """A list of names for a message."""
    listed = [plain(name) for name in known]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more if listed else "none"


def several(amount: int, one: str, many: str | None = None) -> str:
    """An amount with its noun: 1 file, 2 files; `many` where the noun's plural is another than with an s."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def part_of(amount: int, total: int, one: str, does: str, do: str) -> str:
    """An amount of a total with its verb: 1 of 8 pictures is, 2 of 8 pictures are."""
    return f"{amount:,} of {several(total, one)} {does if amount == 1 else do}"


class Problems:
    """Collects mistakes; of one kind only the first 20 are worded, so that 100,000 bad rows stay readable."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, text: str | Callable[[], str]) -> None:
        """Add a mistake; a text that takes time to word is given as a function, asked for the first 20 alone."""
        texts = self._texts.setdefault(kind, [])
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(texts) < SHOWN_OF_A_KIND:
            texts.append(text if isinstance(text, str) else text())

    def lines(self) -> list[str]:
        """All mistakes in the order of their kinds' first appearance."""
        lines: list[str] = []
        for kind, texts in self._texts.items():
            lines += texts
            if self._counts[kind] > len(texts):
                lines.append(f"... and {self._counts[kind] - len(texts):,} more: {kind}.")
        return lines

    def stop_if_any(self) -> None:
        """Raise the SpecError that lists everything, if there is anything."""
        if self._texts:
            raise SpecError(self.lines())
