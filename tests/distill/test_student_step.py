"""The student's step: two-stage backward, guidance, normalisers, accumulation, the gradient penalty."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.distill.blend import read_blend
from qcgen.distill.critics import update_critics
from qcgen.distill.discriminator import gradient_penalty
from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.loss import Posteriors, distance_of, matching_gradient, weigh
from qcgen.distill.material import Sampler, StudentBatch
from qcgen.distill.networks import Networks
from qcgen.distill.ratio import RatioEstimator
from qcgen.distill.student import update_student
from tests.distill.toynet import make_material, make_networks, make_spec

WEIGHTING = read_blend(DivergenceSpec())


def prepared(spec: DistillSpec) -> tuple[Networks, Sampler, RatioEstimator]:
    """Networks whose critics have learned a little, so that neither gradient is zero."""
    networks, ratio = make_networks(spec), RatioEstimator(spec.ratio)
    generator = torch.Generator().manual_seed(1)
    sampler = Sampler(spec, make_material(), networks.teacher.noising, generator, device="cpu")
    for _ in range(5):
        update_critics(spec, networks, ratio, sampler.critic(spec.optim.batch), clock=Clock())
    return networks, sampler, ratio


def step(
    spec: DistillSpec, networks: Networks, ratio: RatioEstimator, batch: StudentBatch, empty: torch.Tensor
) -> dict[str, float]:
    return update_student(
        spec, networks, ratio, batch, WEIGHTING, empty=empty, progress=0.9, clock=Clock()
    ).numbers  # fmt: skip


def flat_parameters(module: object) -> torch.Tensor:
    assert isinstance(module, torch.nn.Module)
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_two_stage_backward_is_the_gradient_of_the_single_graph(scale: float, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, gan={"weight": 0.05}, guidance_scale=scale)
    networks, sampler, ratio = prepared(spec)
    batch, empty = sampler.student(16), sampler.empty(16)
    # The single graph, before the step: one loss, from the student's parameters through everything.
    x_0 = networks.generate(networks.student, batch.noise, batch.cond)
    x_t = batch.at_match.apply(networks.teacher.noising, x_0)
    with torch.no_grad():
        means = Posteriors(
            networks.teacher.denoise(x_t, batch.at_match.t, batch.cond),
            networks.teacher.denoise(x_t, batch.at_match.t, empty) if scale > 1 else None,
            networks.fake.denoise(x_t, batch.at_match.t, batch.cond),
        )
        logits = networks.logits(networks.teacher.features(x_t, batch.at_match.t, batch.cond), batch.cond)
        read = ratio.read(logits, batch.at_match.level)
        weight = weigh(JensenShannon().weight(read.log_ratio), read, mean=float(ratio.mean_weight()))
        gradient = matching_gradient(
            means,
            weight,
            guidance_scale=scale,
            decoupled=True,
            scale=distance_of(x_0, means, guidance_scale=scale),
        )
    noisy = batch.at_gan.apply(networks.teacher.noising, x_0)
    real = networks.logits(networks.teacher.features(noisy, batch.at_gan.t, batch.cond), batch.cond)
    matching = (x_0 * gradient).mean()
    adversarial = spec.gan.weight * F.softplus(-real).mean()
    parameters = list(networks.student.parameters())  # type: ignore[attr-defined]
    expected = torch.autograd.grad(matching + adversarial, parameters)
    norm = torch.cat([g.flatten() for g in expected]).norm()
    numbers = step(spec, networks, ratio, batch, empty)
    # The same sums in another order, in float32.
    assert numbers["grad_norm"] == pytest.approx(float(norm), rel=1e-5)
    first = networks.optimisers["student"].state[parameters[0]]["exp_avg"] / (1 - 0.9)
    torch.testing.assert_close(first, expected[0], rtol=1e-4, atol=1e-8)


def test_matching_and_adversarial_gradients_add_up_as_vectors(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, gan={"weight": 0.05})
    networks, sampler, ratio = prepared(spec)
    numbers = step(spec, networks, ratio, sampler.student(16), sampler.empty(16))
    low, high = abs(numbers["dm_norm"] - numbers["gan_norm"]), numbers["dm_norm"] + numbers["gan_norm"]
    assert numbers["gan_norm"] > 0
    assert low * 0.999 <= numbers["generator_norm"] <= high * 1.001


@pytest.mark.parametrize("normaliser", ["sample", "batch_bin", "sigma"])
def test_gradient_accumulation_changes_no_step(normaliser: str, tmp_path: Path) -> None:
    ends = []
    for accumulate in (1, 8):
        spec = make_spec(tmp_path, optim={"accumulate": accumulate}, gan={"weight": 0.05}, normaliser=normaliser)
        networks, sampler, ratio = prepared(spec)
        for _ in range(3):
            update_critics(spec, networks, ratio, sampler.critic(16), clock=Clock())
            step(spec, networks, ratio, sampler.student(16), sampler.empty(16))
        ends.append((flat_parameters(networks.student), flat_parameters(networks.discriminator), ratio.mean_ratio()))
    # Adam divides by the root of the second moment, which magnifies float32's rounding of tiny gradients.
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)


def test_the_gradient_penalty_is_the_squared_gradient_of_the_clean_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(12, generator=generator)
    x = torch.randn(20000, 12, generator=generator)
    noise = torch.randn(20000, 12, generator=generator)

    def logit(points: torch.Tensor) -> torch.Tensor:
        return (points @ slope).tanh()

    found = gradient_penalty(logit(x), logit(x + 0.01 * noise), sigma=0.01)
    exact = ((1 - logit(x).square()).square() * slope.square().sum()).mean()
    # 20,000 draws of a chi-square with one degree of freedom: a standard error of 1 to 2 %; four of them.
    assert float(found) == pytest.approx(float(exact), rel=0.08)


def test_features_of_the_fake_score_teach_it_nothing(tmp_path: Path) -> None:
    plain, onto = make_spec(tmp_path), make_spec(tmp_path, gan={"features": "fake"})
    ends = [flat_parameters(prepared(spec)[0].fake) for spec in (plain, onto)]
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)


def test_a_gradient_that_is_not_finite_is_reported_and_does_no_harm(tmp_path: Path) -> None:
    networks, _, _ = prepared(make_spec(tmp_path))
    parameters = list(networks.student.parameters())  # type: ignore[attr-defined]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, torch.nan)
    assert not torch.tensor(networks.step("student", Clock())).isfinite()
    assert all(bool(parameter.isfinite().all()) for parameter in parameters)
