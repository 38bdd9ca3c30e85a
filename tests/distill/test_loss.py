"""The matching gradient on made-up means."""

import torch

from qcgen.distill.divergences.jensen_shannon import JensenShannon
from qcgen.distill.loss import Posteriors, matching_gradient, weigh
from qcgen.distill.ratio import Ratio


def test_gradient_is_zero_where_the_scores_agree() -> None:
    mean = torch.randn(4, 2, 3, 3)
    means = Posteriors(mean, None, mean)
    gradient = matching_gradient(means, torch.rand(4), guidance_scale=1.0, decoupled=True, scale=torch.rand(4))
    assert float(gradient.abs().max()) == 0


def test_decoupled_guidance_leaves_the_guidance_push_unweighted() -> None:
    cond, uncond, fake = (torch.randn(3, 1, 2, 2) for _ in range(3))
    weight = torch.tensor([0.5, 1.0, 2.0])
    means = Posteriors(cond, uncond, fake)
    split = matching_gradient(means, weight, guidance_scale=3.0, decoupled=True, scale=None)
    joint = matching_gradient(means, weight, guidance_scale=3.0, decoupled=False, scale=None)
    h = weight[:, None, None, None]
    torch.testing.assert_close(split, h * (fake - cond) - 2 * (cond - uncond))
    torch.testing.assert_close(joint, h * (fake - cond - 2 * (cond - uncond)))
    torch.testing.assert_close(split[1], joint[1])


def test_weight_of_an_untrusted_bin_is_one_and_of_a_trusted_one_is_h_over_its_mean() -> None:
    log_ratio, bins = torch.tensor([-1.0, 0.0, 1.0]), torch.zeros(3, dtype=torch.long)
    h = JensenShannon().weight(log_ratio)
    torch.testing.assert_close(weigh(h, Ratio(log_ratio, torch.ones(3), bins, 0.0), mean=0.5), h / 0.5)
    torch.testing.assert_close(weigh(h, Ratio(log_ratio, torch.zeros(3), bins, 0.0), mean=0.5), torch.ones(3))
