"""Four parametrisations of one teacher: against an exact posterior mean and against diffusers' own schedulers."""

import json
import math
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.distill.loss import Posteriors, matching_gradient
from qcgen.models.noising import Exploding, Flow, Schedule, check_start, log_snr, read_noising
from qcgen.models.protocol import Noising
from tests.distill.toynet import Mixture

MEANS = torch.tensor([[-1.5, 0.0], [1.2, 0.5]], dtype=torch.float64)
EXACT = Mixture(MEANS, torch.tensor([0.6, 0.4], dtype=torch.float64), 0.4)
ALPHAS = torch.linspace(0.9999, 0.01, 1000, dtype=torch.float64).square()
KINDS: dict[str, Noising] = {
    "edm": Exploding(sigma_min=0.001, sigma_max=100.0),
    "epsilon": Schedule(ALPHAS, "epsilon"),
    "v": Schedule(ALPHAS, "v_prediction"),
    "sample": Schedule(ALPHAS, "sample"),
    "flow": Flow(shift=3.0),
}


def output_of(noising: Noising, x_t: Tensor, t: Tensor) -> Tensor:
    """What a perfect network of this parametrisation puts out for the mixture."""
    alpha, sigma = noising.coefficients(t, x_t)
    mean = EXACT.posterior_mean(x_t / alpha, (sigma / alpha)[:, 0])
    return noising.target(mean, (x_t - alpha * mean) / sigma, t)


def at(noising: Noising, step: int, n: int) -> Tensor:
    """The time of the VP step's noise-to-signal ratio."""
    if isinstance(noising, Schedule):
        return torch.full((n,), step)
    ratio = ((1 - ALPHAS[step]) / ALPHAS[step]).sqrt().item()
    return torch.full((n,), noising.time_for(ratio), dtype=torch.float64)


@pytest.mark.parametrize("step", [10, 400, 900])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_every_parametrisation_gives_the_same_mean_and_gradient(
    name: str, step: int, dtype: torch.dtype, tolerance: float
) -> None:
    noising = KINDS[name]
    generator = torch.Generator().manual_seed(step)
    x_0 = EXACT.sample(64, generator).double()
    noise = torch.randn(64, 2, generator=generator, dtype=torch.float64)
    t = at(noising, step, 64)
    alpha, sigma = noising.coefficients(t, x_0)
    x_t = alpha * x_0 + sigma * noise
    output = output_of(noising, x_t, t)
    mean = noising.x_0(output.to(dtype), x_t.to(dtype), t)
    expected = EXACT.posterior_mean(x_t / alpha, (sigma / alpha)[:, 0])
    # Rounding of x_t and the output is multiplied by sigma / alpha, up to 10 here; means are of size 1.
    slack = tolerance * max(1.0, float((sigma / alpha).max())) * 4
    torch.testing.assert_close(mean.double(), expected, rtol=0, atol=slack)
    means = Posteriors(mean[..., None, None], None, torch.zeros(64, 2, 1, 1, dtype=dtype))
    gradient = matching_gradient(
        means, torch.full((64,), 1.5, dtype=dtype), guidance_scale=1.0, decoupled=True, scale=None
    )
    torch.testing.assert_close(gradient[..., 0, 0].double(), -1.5 * expected, rtol=0, atol=2 * slack)


@pytest.mark.parametrize("name", ["v", "flow"])
def test_v_and_flow_are_regular_without_any_signal(name: str) -> None:
    without = torch.cat([ALPHAS[:-1], torch.zeros(1, dtype=torch.float64)])
    noising = Schedule(without, "v_prediction") if name == "v" else Flow()
    t = torch.full((8,), 999) if name == "v" else torch.ones(8, dtype=torch.float64)
    noise = torch.randn(8, 2, dtype=torch.float64)
    mean = torch.full((8, 2), 0.3, dtype=torch.float64)
    torch.testing.assert_close(noising.x_0(noising.target(mean, noise, t), noise, t), mean)
    check_start(noising, noising.time_for(math.inf), where="student.noise_to_signal")


def test_an_epsilon_teacher_without_signal_at_the_end_is_refused_there_alone() -> None:
    noising = Schedule(torch.cat([ALPHAS[:-1], torch.zeros(1, dtype=torch.float64)]), "epsilon")
    with pytest.raises(SpecError, match=r"student\.noise_to_signal: an epsilon teacher needs signal .* Cure"):
        check_start(noising, noising.time_for(math.inf), where="student.noise_to_signal")
    check_start(noising, noising.time_for(2.5), where="student.noise_to_signal")


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_variance_preserving_means_are_those_of_diffusers(prediction: str, tmp_path: Path) -> None:
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", prediction_type=prediction, clip_sample=False)
    scheduler.save_pretrained(tmp_path)
    noising = read_noising(tmp_path)
    scheduler.set_timesteps(10)
    output, x_t = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
    t = scheduler.timesteps[3]
    expected = scheduler.step(output, t, x_t).pred_original_sample
    torch.testing.assert_close(noising.x_0(output, x_t, t[None]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_edm_preconditioning_is_that_of_diffusers(prediction: str, tmp_path: Path) -> None:
    scheduler = EDMEulerScheduler(prediction_type=prediction)
    scheduler.save_pretrained(tmp_path)
    noising = read_noising(tmp_path)
    output, x_t, sigma = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4), torch.tensor([2.5])
    scaled, time = noising.network_input(x_t, sigma)
    torch.testing.assert_close(scaled, scheduler.precondition_inputs(x_t, sigma))
    torch.testing.assert_close(time, scheduler.precondition_noise(sigma))
    torch.testing.assert_close(noising.x_0(output, x_t, sigma), scheduler.precondition_outputs(x_t, output, sigma))


def test_flow_takes_the_models_own_time_shift(tmp_path: Path) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.save_pretrained(tmp_path)
    noising = read_noising(tmp_path)
    quantile = torch.tensor([0.25, 0.5])
    # diffusers shifts sigma = 1 - i / 1000 the same way.
    expected = scheduler.sigmas[[750, 500]]
    torch.testing.assert_close(noising.times(quantile, low=0.0, high=1.0), expected, rtol=1e-4, atol=0)
    assert noising.network_input(torch.zeros(2, 1), torch.ones(2))[1].tolist() == [1000.0, 1000.0]


@pytest.mark.parametrize("name", KINDS)
def test_times_cover_the_asked_noise_levels_and_nothing_else(name: str) -> None:
    noising = KINDS[name]
    quantile = torch.linspace(0, 0.999, 500)
    snr = log_snr(noising, noising.times(quantile, low=0.1, high=0.6))
    ends = log_snr(noising, noising.times(torch.tensor([0.1, 0.6]), low=0.0, high=1.0))
    assert bool((snr.diff() <= 0).all())
    # One step of a thousand.
    assert float(snr[0]) == pytest.approx(float(ends[0]), abs=0.1)
    assert float(snr[-1]) == pytest.approx(float(ends[1]), abs=0.1)


def test_a_zero_terminal_snr_schedule_is_read_as_one(tmp_path: Path) -> None:
    DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction").save_pretrained(tmp_path)
    noising = read_noising(tmp_path)
    assert float(noising.coefficients(torch.tensor([999]), torch.zeros(1))[0]) == 0


def test_what_no_adapter_knows_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="Cure"):
        read_noising(tmp_path)
    file = tmp_path / "scheduler_config.json"
    file.write_text(json.dumps({"_class_name": "DDPMScheduler", "prediction_type": "score"}))
    with pytest.raises(SpecError, match=r"prediction_type is unknown \(got 'score'\). Cure"):
        read_noising(tmp_path)
    file.write_text(json.dumps({"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}))
    with pytest.raises(SpecError, match="use_dynamic_shifting"):
        read_noising(tmp_path)
