"""The rule for the fake score's updates, on its linear model (items 10 and section 2.2b of the notes)."""

import numpy as np
import pytest

from qcgen.core.distillspec import FakeSpec
from qcgen.distill.lag import LagController, Probe, monotone_limit, removed_share, updates_for


def _matrix(rate: float, beta: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(fake, student) after the fake removed `beta` of its lag and the student moved by `rate` of the fake's error."""
    return np.array([[1 - beta, beta], [-rate * (1 - beta), 1 - rate * beta]])


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_eigenvalues_turn_complex_exactly_at_the_limit(beta: float) -> None:
    limit = monotone_limit(beta)
    below, above = (np.linalg.eigvals(_matrix(limit * factor, beta)) for factor in (0.98, 1.02))
    assert np.abs(below.imag).max() == 0
    assert np.abs(above.imag).max() > 0


@pytest.mark.parametrize(("beta", "limit"), [(0.5, 0.172), (0.9, 0.520), (0.01, 0.0025)])
def test_the_limit_has_the_values_of_the_notes(beta: float, limit: float) -> None:
    # The notes give three digits; beta / 4 holds to 1 % at beta = 0.01.
    assert monotone_limit(beta) == pytest.approx(limit, rel=0.01)


def test_the_share_removed_is_found_below_an_unknown_floor() -> None:
    for beta in (0.2, 0.6, 0.95):
        left = (1 - beta) ** 2
        losses = [0.7 + 0.05 * left**k for k in range(3)]
        assert removed_share(losses[0] - losses[1], losses[1] - losses[2]) == pytest.approx(beta)
    # The relative drop of the loss itself would say 7 % at most, whatever beta is.
    assert removed_share(-0.01, 0.02) is None


def test_more_updates_are_asked_for_as_the_student_gets_faster() -> None:
    wanted = [updates_for(rate=rate, beta=0.5, updates=2, most=20) for rate in (0.01, 0.1, 0.2, 0.5)]
    assert wanted == sorted(wanted)
    assert wanted[0] == 1
    assert wanted[-1] > 4


@pytest.mark.parametrize(("rate", "per_update"), [(0.3, 0.2), (0.05, 0.3), (0.1, 0.1)])
def test_the_controller_settles_where_the_linear_model_does_not_oscillate(rate: float, per_update: float) -> None:
    controller = LagController(FakeSpec(updates="auto", start=1, most=30))
    for _ in range(60):
        left = (1 - per_update) ** (2 * controller.updates)
        controller.observe(Probe((1.0, 0.5 + 0.5 * left, 0.5 + 0.5 * left**2), rate))
    beta = 1 - (1 - per_update) ** controller.updates
    assert np.abs(np.linalg.eigvals(_matrix(rate, beta)).imag).max() == 0
    fewer = 1 - (1 - per_update) ** (controller.updates - 1)
    assert controller.updates == 1 or np.abs(np.linalg.eigvals(_matrix(rate, fewer)).imag).max() > 0


def test_a_fixed_number_stays_and_a_roll_back_doubles_it() -> None:
    controller = LagController(FakeSpec(updates=3))
    controller.observe(Probe((1.0, 0.9, 0.85), 0.9))
    assert controller.updates == 3
    controller.double()
    other = LagController(FakeSpec(updates=3))
    other.load_state_dict(controller.state_dict())
    assert (other.updates, other.beta) == (6, controller.beta)
