"""The ratio's normalisation, calibration and safe limit."""

import math

import torch

from qcgen.core.distillspec import RatioSpec
from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.loss import Posteriors, matching_gradient, weigh
from qcgen.distill.ratio import Ratio, RatioEstimator


def _gaussian_logits(shift: float, n: int, generator: torch.Generator, *, real: bool) -> torch.Tensor:
    """log p - log q of unit Gaussians `shift` apart, at samples of p or of q."""
    x = torch.randn(n, generator=generator) + (shift if real else 0)
    return shift * x - shift**2 / 2


def test_identities_hold_for_an_exact_discriminator() -> None:
    generator = torch.Generator().manual_seed(0)
    ratio = RatioEstimator(RatioSpec(bins=1, ema=0.99))
    for _ in range(300):
        level = torch.rand(256, generator=generator)
        ratio.update(
            _gaussian_logits(0.7, 256, generator, real=False),
            level,
            _gaussian_logits(0.7, 256, generator, real=True),
            level,
        )
    # About 25,000 effective samples of a log-normal with deviation 0.8: a standard error of 0.005; four of them.
    assert abs(float(ratio.mean_ratio()) - 1) < 0.02
    assert abs(float(ratio.mean_inverse_ratio()) - 1) < 0.02
    assert float(ratio.trust()) > 0.99


def test_single_samples_per_bin_keep_the_spread_of_the_ratio() -> None:
    """Dividing by the mean of the current batch would make r = 1 here, silently turning any divergence into reverse
    KL."""
    generator = torch.Generator().manual_seed(1)
    ratio = RatioEstimator(RatioSpec(bins=10, ema=0.9, clip=(1e-4, 1e4)))
    kept, true = [], []
    for _ in range(400):
        level = (torch.arange(10) + 0.5) / 10
        logits = _gaussian_logits(1.0, 10, generator, real=False)
        kept.append(ratio.read(logits, level).log_ratio)
        true.append(logits)
        ratio.update(logits, level, _gaussian_logits(1.0, 10, generator, real=True), level)
    share = torch.cat(kept[200:]).std() / torch.cat(true[200:]).std()
    assert float(share) > 0.9


def test_update_does_not_depend_on_how_a_step_is_split_into_bins_of_one_call() -> None:
    generator = torch.Generator().manual_seed(2)
    logits, level = torch.randn(64, generator=generator), torch.rand(64, generator=generator)
    order = torch.randperm(64, generator=generator)
    one, other = RatioEstimator(RatioSpec()), RatioEstimator(RatioSpec())
    one.update(logits, level, -logits, level)
    other.update(logits[order], level[order], -logits[order], level[order])
    torch.testing.assert_close(one.mean_ratio(), other.mean_ratio())


def test_a_wild_discriminator_falls_back_to_reverse_kl() -> None:
    ratio = RatioEstimator(RatioSpec(bins=1))
    level = torch.full((512,), 0.5)
    for _ in range(20):
        ratio.update(torch.full((512,), 4.0), level, torch.full((512,), 4.0), level)
    read = ratio.read(torch.randn(16), level[:16])
    torch.testing.assert_close(weigh(JensenShannon(), read), torch.ones(16))


def test_clipping_is_accounted_for() -> None:
    ratio = RatioEstimator(RatioSpec(bins=1, clip=(0.1, 20.0)))
    read = ratio.read(torch.tensor([-9.0, 0.0, 9.0, 1.0]), torch.zeros(4))
    assert read.clipped_share == 0.5
    assert float(read.log_ratio.max()) == torch.tensor(math.log(20)).float()


def test_gradient_is_zero_where_the_scores_agree() -> None:
    x_0, mean = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3)
    gradient = matching_gradient(
        x_0, Posteriors(mean, None, mean), torch.rand(4), guidance_scale=1.0, decoupled=True, normaliser="sample"
    )
    assert float(gradient.abs().max()) == 0


def test_decoupled_guidance_leaves_the_guidance_push_unweighted() -> None:
    x_0, cond, uncond, fake = (torch.randn(3, 1, 2, 2) for _ in range(4))
    weight = torch.tensor([0.5, 1.0, 2.0])
    means = Posteriors(cond, uncond, fake)
    split = matching_gradient(x_0, means, weight, guidance_scale=3.0, decoupled=True, normaliser="sigma")
    joint = matching_gradient(x_0, means, weight, guidance_scale=3.0, decoupled=False, normaliser="sigma")
    h = weight[:, None, None, None]
    torch.testing.assert_close(split, h * (fake - cond) - 2 * (cond - uncond))
    torch.testing.assert_close(joint, h * (fake - cond - 2 * (cond - uncond)))
    torch.testing.assert_close(split[1], joint[1])


def test_weight_of_an_untrusted_bin_is_one_and_of_a_trusted_one_is_h() -> None:
    log_ratio = torch.tensor([-1.0, 0.0, 1.0])
    h = JensenShannon().weight(log_ratio)
    h = h / h.mean()
    torch.testing.assert_close(weigh(JensenShannon(), Ratio(log_ratio, torch.ones(3), 0.0)), h)
    torch.testing.assert_close(weigh(JensenShannon(), Ratio(log_ratio, torch.zeros(3), 0.0)), torch.ones(3))
