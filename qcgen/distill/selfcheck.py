"""Ground truths: closed forms, quadrature and exact samplers against the code that a distillation runs.

A group of them is one file in `groundtruths/` with a class that follows `GroundTruth`; the folder scan finds it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from qcgen.core.registry import scan


@dataclass(frozen=True, slots=True)
class Check:
    """One number against its ground truth.

    Attributes:
        name: what is compared, and where.
        item: the ground truth's number in the design notes, section 4 (`17` is item 17), or another source.
        value: what the code gives.
        expected: what is true.
        tolerance: allowed distance; beyond `expected` on the allowed side where `relation` is an inequality.
        relation: how the value must stand to `expected`.
    """

    name: str
    item: str
    value: float
    expected: float
    tolerance: float
    relation: Literal["equal", "at_most", "at_least"] = "equal"

    @property
    def passed(self) -> bool:
        """Never true for NaN."""
        if self.value == self.expected:
            return True
        off = self.value - self.expected
        if self.relation == "at_most":
            return off <= self.tolerance
        if self.relation == "at_least":
            return -off <= self.tolerance
        return abs(off) <= self.tolerance


class GroundTruth(Protocol):
    """A group of checks. Draws come from fixed seeds, so a group always gives the same numbers on a machine."""

    name: ClassVar[str]
    title: ClassVar[str]

    def checks(self) -> Iterator[Check]: ...


@dataclass(frozen=True, slots=True)
class GroupResult:
    """A group's checks and the processor seconds that it took."""

    name: str
    title: str
    checks: tuple[Check, ...]
    cpu_s: float

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def ground_truths() -> dict[str, type]:
    """Every group by name."""
    return scan("qcgen.distill.groundtruths")


def run_checks() -> Iterator[GroupResult]:
    """Run all groups, one after the other."""
    for name, kind in ground_truths().items():
        began_s = time.process_time()
        group: GroundTruth = kind()
        found = tuple(group.checks())
        yield GroupResult(name, group.title, found, round(time.process_time() - began_s, 2))
