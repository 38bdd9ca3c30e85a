"""The gradient theorem by quadrature on the line: an analytic teacher, a Gaussian student x_0 = mean + deviation z."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.distill.analytic import GaussianMixture, mixture_1d
from qcgen.distill.protocol import Divergence
from qcgen.distill.values import Value, grid_value


@dataclass(frozen=True, slots=True)
class Line:
    """Teacher and student on an even grid at the noise level x_t = x_0 + sigma noise.

    Attributes:
        teacher: of x_0.
        mean: of the student's x_0.
        deviation: of the student's x_0.
        sigma: the noise.
        reach: half the width of the grid.
        points: of the grid.
    """

    teacher: GaussianMixture
    mean: float
    deviation: float
    sigma: float = 0.0
    reach: float = 30.0
    points: int = 6001

    @property
    def x(self) -> Float[Tensor, "n 1"]:
        return torch.linspace(-self.reach, self.reach, self.points, dtype=torch.float64)[:, None]

    @property
    def spacing(self) -> float:
        return 2 * self.reach / (self.points - 1)

    @property
    def student(self) -> GaussianMixture:
        return mixture_1d((1.0, self.mean, self.deviation))

    def log_densities(self) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """(ln p_t, ln q_t) on the grid."""
        noised = [one.noised(1.0, self.sigma) for one in (self.teacher, self.student)]
        return noised[0].log_density(self.x), noised[1].log_density(self.x)

    def divergence(self, divergence: Divergence) -> Value:
        """D_f(p_t || q_t)."""
        return grid_value(divergence, *self.log_densities(), spacing=(self.spacing,))

    def gradient(self, divergence: Divergence) -> tuple[float, float]:
        """Derivatives of D_f with respect to the student's mean and the log of its deviation, by eq. 1.

        E_q[h(r) (s_q - s_p) dx_0/dtheta], where dx_0/dmean = 1 and E[dx_0/dln deviation | x_t] = E[x_0 | x_t] - mean.

        Source: Xu et al. 2025, arXiv:2502.15681, eq. 1.
        """
        x = self.x
        log_p, log_q = self.log_densities()
        teacher, student = self.teacher.noised(1.0, self.sigma), self.student.noised(1.0, self.sigma)
        push = log_q.exp() * divergence.weight(log_p - log_q) * (student.score(x) - teacher.score(x))[:, 0]
        gain = self.deviation**2 / (self.deviation**2 + self.sigma**2)
        # Where the student's density underflows, the weight may be infinite; their product is not.
        push = torch.where(log_q.exp() > 0, push, 0.0)
        return push.sum().item() * self.spacing, (push * gain * (x[:, 0] - self.mean)).sum().item() * self.spacing
