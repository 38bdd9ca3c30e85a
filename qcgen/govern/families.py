"""Licence families, from `licences.json`: what a licence's name says about commercial use and duties."""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from qcgen.core.types import Card

_UNKNOWN = frozenset({"", "unknown", "other", "none", "undeclared", "unspecified", "n-a", "tbd"})


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table. `read_by` and `on` say who read the licence's text and when; None: nobody did.

    `distillation`: whether a student may be made of a model under it: for any purpose, for research, for none.
    `never` forbids it of training data under it as well.
    """

    name: str
    matches: tuple[str, ...]
    non_commercial: bool
    revenue_cap: bool
    distillation: Literal["any", "research", "none", "never"]
    duties: tuple[str, ...]
    read_by: str | None
    on: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A licence that a model inherits: its own, or that of something it descends from.

    Attributes:
        what: `the model itself`, or `trained_on clothing128`.
        relation: the edge's, empty for the model's own licence.
        licence: as declared.
        families: every row of the table that the name matches; empty for an unrecognised or missing licence.
        missing: no licence is declared.
    """

    what: str
    relation: str
    licence: str
    families: tuple[Family, ...]
    missing: bool

    def evidence(self, family: Family | None = None) -> dict[str, str]:
        """The facts behind a finding."""
        facts = {"what": self.what, "licence": self.licence}
        if family is None:
            return facts
        return facts | {"family": family.name, "read_by": family.read_by or "nobody", "on": family.on or "never"}


def sources_of(card: Card) -> list[Source]:
    """The model's own licence and that of every edge of its lineage: restrictions of all ancestors come down."""
    own = [_source("the model itself", "", card.licence or "")]
    return own + [_source(f"{edge.relation} {edge.parent}", edge.relation, edge.licence) for edge in card.lineage]


@cache
def families() -> tuple[Family, ...]:
    """The table."""
    table = json.loads(files("qcgen.govern").joinpath("licences.json").read_text(encoding="utf-8"))
    return tuple(
        Family(
            name=row["name"],
            matches=tuple(row["matches"]),
            non_commercial=row["non_commercial"],
            revenue_cap=row["revenue_cap"],
            distillation=row["distillation"],
            duties=tuple(row["duties"]),
            read_by=row["read_by"],
            on=row["on"],
        )
        for row in table["families"]
    )


def _source(what: str, relation: str, licence: str) -> Source:
    words = re.sub(r"[^a-z0-9+]+", "-", licence.lower().replace("++", "pp")).strip("-")
    found = tuple(family for family in families() if any(_within(needle, words) for needle in family.matches))
    return Source(what, relation, licence, found, words in _UNKNOWN)


def _within(needle: str, words: str) -> bool:
    """Whole words: `nc` is in `cc-by-nc-4-0`, not in `license-once`. Digits may follow: `cc0` and `bsd3`."""
    return re.search(rf"(^|-){re.escape(needle)}[0-9]*(-|$)", words) is not None
