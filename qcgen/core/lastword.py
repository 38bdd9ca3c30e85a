"""What people together say of a picture, from the answers of each."""

from collections.abc import Iterable
from dataclasses import dataclass

from qcgen.core.review import Choice, Kind


@dataclass(frozen=True, slots=True)
class Word:
    """One standing answer, as far as it counts for the picture."""

    reviewer: str
    kind: Kind
    choice: Choice
    sha256: str
    code: str = ""


def verdict_of(words: Iterable[Word], sha256: str | None) -> str | None:
    """`accept` or `reject`, None if nobody or not everybody agrees; what was said of another file counts for nothing.

    The answer to a dispute stands over those that made it.
    """
    about = [one for one in words if one.sha256 == sha256]
    settled = [one for one in about if one.kind is Kind.DISPUTE]
    said = {one.choice is Choice.ACCEPT for one in settled or about}
    if len(said) != 1:
        return None
    return "accept" if said.pop() else "reject"


def disagree(words: Iterable[Word], sha256: str) -> bool:
    """Whether two people's answers to the same file differ in what they mean for its delivery."""
    about = [one for one in words if one.sha256 == sha256 and one.kind is not Kind.DISPUTE]
    return len({one.choice is Choice.ACCEPT for one in about}) == 2
