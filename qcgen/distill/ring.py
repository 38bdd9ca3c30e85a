"""A whole distillation in the plane: eight modes on a ring, an analytic teacher, everything else learned.

The student, the fake score and the discriminator are small perceptrons; the weight and the gradient are those that
`qcgen distill` uses. What a divergence does to modes shows here in minutes on one core.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qcgen.distill.analytic import GaussianMixture
from qcgen.distill.blend import Blend
from qcgen.distill.discriminator import discriminator_loss
from qcgen.distill.loss import Posteriors, matching_gradient

SHARES = (0.25, 0.05, 0.20, 0.05, 0.15, 0.05, 0.20, 0.05)
RADIUS = 2.0
DEVIATION = 0.15
JUNK_DEVIATIONS = 4.0
"""Points further than this from every mode belong to none."""


@dataclass(frozen=True, slots=True)
class RingSetting:
    """How the students of a comparison are trained; noise is x_t = x_0 + sigma noise."""

    steps: int = 1500
    batch: int = 256
    critic_updates: int = 5
    lr: float = 2e-3
    student_lr: float = 2e-3
    width: int = 128
    sigma_low: float = 0.02
    sigma_high: float = 10.0
    sigma_init: float = 10.0
    rho: float = 7.0
    clip: tuple[float, float] = (0.1, 20.0)
    ema: float = 0.995


@dataclass(frozen=True, slots=True)
class RingReport:
    """What a student's samples are like.

    Attributes:
        mode_error: total variation between the shares of the modes, student against teacher, junk left out; 0 to 1.
        junk: share of samples further than four deviations from every mode.
        modes: modes that hold at least a fifth of their true share.
        lightest: mean share of the four modes whose true share is .05.
        mean_ratio: E_q[r] at the last 100 steps; 1 for a calibrated discriminator.
        mean_inverse_ratio: E_p[1/r], likewise.
        critic_loss: the discriminator's mean loss at the last 100 steps; 2 ln 2 = 1.386 when it cannot tell.
    """

    mode_error: float
    junk: float
    modes: int
    lightest: float
    mean_ratio: float
    mean_inverse_ratio: float
    critic_loss: float


def ring() -> GaussianMixture:
    """Eight modes of unequal mass on a circle of radius 2."""
    angles = torch.arange(len(SHARES)) * (2 * math.pi / len(SHARES))
    means = RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)
    return GaussianMixture(torch.tensor(SHARES), means, torch.full((len(SHARES),), DEVIATION))


class Denoiser(nn.Module):
    """A three-layer perceptron in the preconditioning of Karras et al. 2022; outputs E[x_0 | x_t]."""

    def __init__(self, width: int, *, data_deviation: float) -> None:
        super().__init__()
        self.data_deviation = data_deviation
        self.net = _perceptron(width, out=2)

    def forward(self, x_t: Float[Tensor, "b 2"], sigma: Float[Tensor, " b"]) -> Float[Tensor, "b 2"]:
        sigma = sigma[:, None]
        total = sigma**2 + self.data_deviation**2
        output = self.net(_inputs(x_t / total.sqrt(), sigma))
        return self.data_deviation**2 / total * x_t + sigma * self.data_deviation / total.sqrt() * output


class RingTrainer:
    """Student, fake score and discriminator on the ring.

    Args:
        blend: the divergence's weight.
        seed: of weights and of every draw.
    """

    def __init__(self, blend: Blend, setting: RingSetting, *, seed: int) -> None:
        torch.manual_seed(seed)
        self.blend, self.setting = blend, setting
        self.teacher = ring()
        self.generator = torch.Generator().manual_seed(seed)
        spread = math.sqrt(RADIUS**2 / 2 + DEVIATION**2)
        self.student = Denoiser(setting.width, data_deviation=spread)
        self.fake = Denoiser(setting.width, data_deviation=spread)
        self.spread = spread
        self.discriminator = _perceptron(setting.width, out=1)
        self.averaged = AveragedModel(self.student, multi_avg_fn=get_ema_multi_avg_fn(setting.ema))
        self.optimisers = {
            "student": _adam(self.student, setting.student_lr),
            "fake": _adam(self.fake, setting.lr),
            "discriminator": _adam(self.discriminator, setting.lr),
        }
        self.recent: deque[tuple[float, float, float]] = deque(maxlen=100 * setting.critic_updates)

    def train(self, *, report_at: Iterable[int] = ()) -> list[RingReport]:
        """Run all steps; a report at each step of `report_at` and at the end."""
        wanted = {*report_at, self.setting.steps}
        reports = []
        for step in range(1, self.setting.steps + 1):
            for _ in range(self.setting.critic_updates):
                self._update_critics()
            self._update_student(step / self.setting.steps)
            if step in wanted:
                reports.append(self.report())
        return reports

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 12345) -> Float[Tensor, "n 2"]:
        """Samples of the averaged student."""
        noise = torch.randn((n, 2), generator=torch.Generator().manual_seed(seed))
        return self._generate(self.averaged, noise)

    def report(self, n: int = 20_000) -> RingReport:
        """Measure the averaged student on `n` samples."""
        recent = torch.tensor(list(self.recent)).mean(0).tolist()
        mode, far = self.teacher.nearest(self.sample(n))
        kept = mode[far <= JUNK_DEVIATIONS]
        shares = torch.bincount(kept, minlength=len(SHARES)) / max(len(kept), 1)
        true = self.teacher.shares
        return RingReport(
            mode_error=(shares - true).abs().sum().item() / 2,
            junk=1 - len(kept) / n,
            modes=int((shares >= true / 5).sum()),
            lightest=shares[true < 0.1].mean().item(),
            mean_ratio=recent[0],
            mean_inverse_ratio=recent[1],
            critic_loss=recent[2],
        )

    def _generate(self, model: nn.Module, noise: Tensor) -> Tensor:
        sigma = torch.full((len(noise),), self.setting.sigma_init)
        return model(self.setting.sigma_init * noise, sigma)

    def _draw_noise(self) -> Tensor:
        return torch.randn((self.setting.batch, 2), generator=self.generator)

    def _noised(self, x_0: Tensor) -> tuple[Tensor, Tensor]:
        ends = [s ** (1 / self.setting.rho) for s in (self.setting.sigma_low, self.setting.sigma_high)]
        level = torch.rand(len(x_0), generator=self.generator)
        sigma = (ends[0] + level * (ends[1] - ends[0])) ** self.setting.rho
        return x_0 + sigma[:, None] * self._draw_noise(), sigma

    def _inverse_unit(self, sigma: Tensor) -> Tensor:
        """One over the size of a typical error of the posterior mean: a normaliser that depends on sigma alone."""
        return (sigma**2 + self.spread**2).sqrt() / (sigma * self.spread)

    def _logits(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        scaled = x_t / (sigma**2 + self.spread**2).sqrt()[:, None]
        return self.discriminator(_inputs(scaled, sigma[:, None]))[:, 0]

    def _update_critics(self) -> None:
        with torch.no_grad():
            x_0 = self._generate(self.student, self._draw_noise())
        x_t, sigma = self._noised(x_0)
        # Karras et al. 2022: the loss in the network's own output units, equal at every noise level.
        loss = (self._inverse_unit(sigma)[:, None] * (self.fake(x_t, sigma) - x_0)).square().mean()
        self._apply("fake", loss)
        real_t, real_sigma = self._noised(self.teacher.sample(self.setting.batch, self.generator))
        logits = self._logits(torch.cat([x_t, real_t]), torch.cat([sigma, real_sigma]))
        fake_logits, real_logits = logits.chunk(2)
        critic = discriminator_loss(real_logits, fake_logits)
        self._apply("discriminator", critic)
        ratio, inverse = fake_logits.detach().exp().mean(), (-real_logits.detach()).exp().mean()
        self.recent.append((ratio.item(), inverse.item(), critic.item()))

    def _update_student(self, progress: float) -> None:
        x_0 = self._generate(self.student, self._draw_noise())
        leaf = x_0.detach()
        with torch.no_grad():
            x_t, sigma = self._noised(leaf)
            low, high = self.setting.clip
            log_ratio = self._logits(x_t, sigma).clamp(math.log(low), math.log(high))
            weight = self.blend.weight(log_ratio, progress=progress, log_snr=-2 * sigma.log())
            means = Posteriors(
                teacher=_as_images(self.teacher.posterior_mean(x_t, torch.ones_like(sigma), sigma)),
                teacher_uncond=None,
                fake=_as_images(self.fake(x_t, sigma)),
            )
            gradient = matching_gradient(
                means,
                self._inverse_unit(sigma) * weight / weight.mean(),
                guidance_scale=1.0,
                decoupled=False,
                scale=None,
            )
        self._apply("student", (x_0 * gradient[:, :, 0, 0]).sum() / len(x_0))
        self.averaged.update_parameters(self.student)

    def _apply(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def _adam(module: nn.Module, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), lr=lr, betas=(0.5, 0.999), fused=True)


def _perceptron(width: int, *, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out))


def _inputs(x: Tensor, sigma: Tensor) -> Tensor:
    level = sigma.log() / 4
    return torch.cat([x, level, level.square()], dim=1)


def _as_images(x: Tensor) -> Tensor:
    return x[:, :, None, None]
