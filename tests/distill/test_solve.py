"""The teacher's solver on EDM and flow, against the exact flow of a Gaussian."""

import pytest
import torch
from torch import Tensor

from qcgen.distill.pairs import solve, solver_calls
from qcgen.models.noising import Exploding, Flow, Schedule
from qcgen.models.protocol import Noising
from tests.distill.toynet import MlpTeacher

MEAN, DEVIATION = 0.3, 0.5
NOISINGS = {"edm": Exploding(), "flow": Flow(shift=3.0)}


class Gaussian(MlpTeacher):
    """A teacher whose data are N(mean, deviation^2) in each pixel; `cond` moves the mean. Counts its calls."""

    def __init__(self, noising: Noising) -> None:
        super().__init__(noising)
        self.calls = 0

    def denoise(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        self.calls += 1
        alpha, sigma = self.noising.coefficients(t, x_t)
        mean = MEAN + cond[:, :1, :1, None]
        gain = alpha * DEVIATION**2 / (alpha.square() * DEVIATION**2 + sigma.square())
        return mean + gain * (x_t - alpha * mean)


def error(noising: Noising, steps: int) -> float:
    """Largest distance from the exact end of the flow, which keeps every point's place among its neighbours."""
    noise = torch.randn((8, 1, 2, 2), generator=torch.Generator().manual_seed(1))
    cond = torch.zeros(8, 1, 1)
    made = solve(Gaussian(noising), noise, cond, cond[:1], steps=steps, guidance_scale=1.0)
    t = noising.times(torch.ones(1, dtype=torch.float64), low=0.0, high=1.0)
    alpha, sigma = noising.coefficients(t, noise)
    spread = (alpha.square() * DEVIATION**2 + sigma.square()).sqrt()
    exact = MEAN + DEVIATION * (noising.start(noise, t) - alpha * MEAN) / spread
    return float((made - exact).abs().max())


@pytest.mark.parametrize("name", NOISINGS)
def test_the_solver_is_of_second_order_and_ends_on_the_data(name: str) -> None:
    coarse, fine = error(NOISINGS[name], 18), error(NOISINGS[name], 72)
    assert coarse < 0.08
    # A quarter of the step: a sixteenth of the error; measured 1/19 (EDM) and 1/15 (flow).
    assert fine < coarse / 12


@pytest.mark.parametrize("name", NOISINGS)
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_guidance_moves_the_mean_and_calls_are_counted(name: str, scale: float) -> None:
    teacher = Gaussian(NOISINGS[name])
    noise = torch.randn((4, 1, 2, 2), generator=torch.Generator().manual_seed(2))
    cond, empty = torch.full((4, 1, 1), 0.5), torch.zeros(1, 1, 1)
    guided = solve(teacher, noise, cond, empty, steps=9, guidance_scale=scale)
    looks = 2 if scale > 1 else 1
    # Both halves go through one call of a doubled batch.
    assert teacher.calls * looks == solver_calls(teacher.noising, 9, scale) == 17 * looks
    plain = solve(teacher, noise, torch.zeros(4, 1, 1), empty, steps=9, guidance_scale=1.0)
    # The posterior mean is linear in the mean: guidance of 2 doubles the caption's shift.
    torch.testing.assert_close(guided - plain, torch.full_like(plain, 0.5 * scale), atol=0.02, rtol=0)


def test_a_variance_preserving_teacher_is_called_once_a_step() -> None:
    vp = Schedule(torch.linspace(0.999, 0.01, 100, dtype=torch.float64), "epsilon")
    assert (solver_calls(vp, 18, 1.0), solver_calls(vp, 18, 2.5)) == (18, 36)
