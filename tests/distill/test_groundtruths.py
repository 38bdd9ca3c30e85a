"""The ground truths of `qcgen selfcheck`, each as a test, and that they fail on code that is wrong."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from qcgen.distill.analytic import mixture_1d
from qcgen.distill.divergences.squared_hellinger import SquaredHellinger
from qcgen.distill.groundtruths.weights import algebra, measured_weight
from qcgen.distill.quadrature import Line
from qcgen.distill.selfcheck import Check, ground_truths


@functools.cache
def checks_of(name: str) -> tuple[Check, ...]:
    return tuple(ground_truths()[name]().checks())


@pytest.mark.parametrize("name", ground_truths())
def test_a_group_of_ground_truths_holds(name: str) -> None:
    checks = checks_of(name)
    assert len(checks) > 3
    assert [check for check in checks if not check.passed] == []
    assert len({check.name for check in checks}) == len(checks)


def test_all_items_of_the_notes_that_need_no_ratio_module_are_there() -> None:
    items = {check.item for name in ground_truths() for check in checks_of(name)}
    assert {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "14", "16", "17", "18", "19"} <= items


@dataclass(frozen=True, slots=True)
class WrongHellinger:
    """The weight that is right for r = q / p, as found in a public implementation."""

    name: ClassVar[str] = "wrong"
    facts = SquaredHellinger.facts

    def perspective(self, log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
        return SquaredHellinger().perspective(log_p, log_q)

    def weight(self, log_ratio: torch.Tensor) -> torch.Tensor:
        return (-log_ratio / 2).exp()


def test_the_inverted_ratio_is_found_by_algebra_differentiation_and_quadrature() -> None:
    assert {check.name for check in algebra("wrong", WrongHellinger()) if not check.passed} == {
        "wrong: h against 30 digits"
    }
    at = torch.linspace(-3, 3, 7, dtype=torch.float64)
    found, rounding = measured_weight(WrongHellinger(), at)
    assert float(((found - WrongHellinger().weight(at)).abs() / rounding).max()) > 1e6
    line = Line(mixture_1d((0.6, -1.5, 0.7), (0.4, 1.2, 0.5)), 0.3, 1.1)
    right, wrong = line.gradient(SquaredHellinger())[0], line.gradient(WrongHellinger())[0]
    assert abs(right - wrong) > 0.1 * abs(right)


def test_a_check_is_never_passed_by_nan_and_knows_its_direction() -> None:
    assert not Check("nan", "1", math.nan, 1.0, 10.0).passed
    assert Check("infinite", "1", math.inf, math.inf, 0.0).passed
    assert not Check("infinite", "1", math.inf, 1.0, 1.0).passed
    assert Check("below", "1", -5.0, 1.0, 0.0, "at_most").passed
    assert not Check("below", "1", -5.0, 1.0, 0.0, "at_least").passed
    assert not Check("above", "1", 1.2, 1.0, 0.1, "at_most").passed
