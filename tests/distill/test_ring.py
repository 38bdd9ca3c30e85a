"""A whole distillation in the plane, shortened: everything learned but the teacher."""

import pytest
import torch

from qcgen.core.distillspec import DivergenceSpec
from qcgen.distill.blend import read_blend
from qcgen.distill.ring import RingSetting, RingTrainer, ring


def test_four_hundred_steps_find_all_modes_and_go_on_improving() -> None:
    torch.manual_seed(0)
    trainer = RingTrainer(read_blend(DivergenceSpec(name="jensen_shannon")), RingSetting(steps=400), seed=0)
    early, late = trainer.train(report_at=(100,))
    assert late.modes == 8
    # Half of the mass misplaced is what a student with four of the eight modes would have.
    assert late.mode_error < 0.5
    assert late.mode_error < early.mode_error
    assert late.junk < early.junk
    # A discriminator that lags a moving student by a few steps; 1 is perfect calibration.
    assert late.mean_ratio == pytest.approx(1, abs=0.2)
    assert late.mean_inverse_ratio == pytest.approx(1, abs=0.2)


def test_the_teacher_is_the_distribution_that_it_samples() -> None:
    teacher = ring()
    x = teacher.sample(50_000, torch.Generator().manual_seed(0))
    mode, far = teacher.nearest(x)
    shares = torch.bincount(mode, minlength=8) / len(x)
    # Standard error of a share of 1/4 among 50,000: .002.
    torch.testing.assert_close(shares, teacher.shares, rtol=0, atol=0.008)
    # Beyond four deviations in the plane: exp(-8).
    assert float((far > 4).float().mean()) < 1e-3
    x_t = x[:100].requires_grad_(True)
    (slope,) = torch.autograd.grad(teacher.noised(0.8, 0.6).log_density(x_t).sum(), x_t)
    # Two float32 routes to a score of size 10.
    torch.testing.assert_close(teacher.noised(0.8, 0.6).score(x_t), slope, rtol=1e-4, atol=1e-4)
