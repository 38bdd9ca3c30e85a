"""A teacher known exactly: a mixture of isotropic Gaussians at every noise level, x_t = alpha x_0 + sigma noise.

The toy family of the ground truths: density, score, posterior mean and samples in closed form, in any dimension.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class GaussianMixture:
    """Isotropic Gaussians.

    Attributes:
        shares: mass of each component; they sum to 1.
        means: centre of each component.
        deviations: standard deviation of each component, the same along every axis.
    """

    shares: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    deviations: Float[Tensor, " k"]

    def noised(self, alpha: float, sigma: float) -> "GaussianMixture":
        """The distribution of alpha x_0 + sigma noise."""
        wide = ((alpha * self.deviations) ** 2 + sigma**2).sqrt()
        return GaussianMixture(self.shares, alpha * self.means, wide)

    def log_density(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        return self._log_terms(x, self.means, self.deviations.square()).logsumexp(-1)

    def score(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Gradient of the log density."""
        owner = self._log_terms(x, self.means, self.deviations.square()).softmax(-1)
        pull = (self.means - x[:, None]) / self.deviations.square()[:, None]
        return (owner[:, :, None] * pull).sum(1)

    def posterior_mean(
        self, x_t: Float[Tensor, "b d"], alpha: Float[Tensor, " b"], sigma: Float[Tensor, " b"]
    ) -> Float[Tensor, "b d"]:
        """E[x_0 | x_t], each sample at its own noise level; finite at alpha = 0."""
        alpha, sigma = alpha[:, None], sigma[:, None]
        variance = alpha.square() * self.deviations.square() + sigma.square()
        owner = self._log_terms(x_t, alpha[:, :, None] * self.means, variance).softmax(-1)
        gain = alpha * self.deviations.square() / variance
        each = self.means + gain[:, :, None] * (x_t[:, None] - alpha[:, :, None] * self.means)
        return (owner[:, :, None] * each).sum(1)

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        owner = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        noise = torch.randn((n, self.means.shape[1]), generator=generator, dtype=self.means.dtype)
        return self.means[owner] + self.deviations[owner, None] * noise

    def nearest(self, x: Float[Tensor, "b d"]) -> tuple[Int[Tensor, " b"], Float[Tensor, " b"]]:
        """The component whose centre is nearest, and the distance to it in that component's deviations."""
        distance = torch.cdist(x, self.means)
        near = distance.argmin(-1)
        return near, distance.gather(1, near[:, None])[:, 0] / self.deviations[near]

    def _log_terms(self, x: Tensor, means: Tensor, variance: Tensor) -> Tensor:
        far = (x[:, None] - means).square().sum(-1)
        dim = self.means.shape[1]
        return self.shares.log() - far / (2 * variance) - dim / 2 * (2 * math.pi * variance).log()


def mixture_1d(*components: tuple[float, float, float]) -> GaussianMixture:
    """(share, mean, deviation) of each component on the line, float64."""
    table = torch.tensor(components, dtype=torch.float64)
    return GaussianMixture(table[:, 0], table[:, 1:2], table[:, 2])
