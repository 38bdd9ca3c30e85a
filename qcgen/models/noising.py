"""How a teacher adds noise, and what its network's output means: x_t = alpha x_0 + sigma noise, mu = E[x_0 | x_t].

Everything above works in (alpha, sigma, mu); the four parametrisations of diffusion teachers end here.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDPMScheduler
from jaxtyping import Float, Shaped
from torch import Tensor

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.protocol import Noising

_EDM_SCHEDULERS = {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"}
_RHO = 7.0
# Below this alpha, an error of the predicted noise reaches x_0 a thousandfold: no float32 network survives it.
_LEAST_ALPHA = 1e-3


def posterior_mean(prediction: str, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """mu from the network's output; v and flow are regular at alpha = 0, epsilon is not.

    v = alpha noise - sigma x_0 (Salimans & Ho 2022); flow: u = noise - x_0 (Lipman et al. 2023).
    """
    if prediction == "epsilon":
        return (x_t - sigma * output) / alpha
    if prediction == "v_prediction":
        return (alpha * x_t - sigma * output) / (alpha.square() + sigma.square())
    if prediction == "flow":
        return (x_t - sigma * output) / (alpha + sigma)
    return output


def network_target(prediction: str, x_0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the network should put out for x_t = alpha x_0 + sigma noise."""
    if prediction == "epsilon":
        return noise
    if prediction == "v_prediction":
        return alpha * noise - sigma * x_0
    if prediction == "flow":
        return noise - x_0
    return x_0


@dataclass(frozen=True)
class Schedule:
    """The variance-preserving schedule of SD 1.x, SD 2.x and SDXL, with integer steps. Follows `protocol.Noising`.

    Attributes:
        alphas_cumprod: alpha^2 per step, float64.
        prediction: `epsilon`, `v_prediction` or `sample`: what the network's output means.
    """

    alphas_cumprod: Float[Tensor, " steps"]
    prediction: str

    @property
    def betas(self) -> Float[Tensor, " steps"]:
        """The betas whose running product is `alphas_cumprod`, as diffusers' schedulers take them."""
        previous = torch.cat([torch.ones(1, dtype=torch.float64), self.alphas_cumprod[:-1]])
        return 1 - self.alphas_cumprod / previous

    def coefficients(self, t: Shaped[Tensor, " b"], like: Tensor) -> tuple[Tensor, Tensor]:
        square = self.alphas_cumprod.to(like.device)[t.long()].reshape(-1, *[1] * (like.dim() - 1))
        return square.sqrt().to(like.dtype), (1 - square).sqrt().to(like.dtype)

    def times(self, quantile: Float[Tensor, " b"], *, low: float, high: float) -> Shaped[Tensor, " b"]:
        first, last = int(low * len(self.alphas_cumprod)), int(high * len(self.alphas_cumprod))
        return (first + (quantile * (last - first)).long()).clamp(first, max(last - 1, first))

    def time_for(self, noise_to_signal: float) -> float:
        return float(self.step_for(noise_to_signal))

    def step_for(self, ratio: float) -> int:
        """The step whose sigma / alpha is nearest to `ratio`; the last one for infinity."""
        if math.isinf(ratio):
            return len(self.alphas_cumprod) - 1
        sigma_over_alpha = ((1 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        return int((sigma_over_alpha.log() - torch.tensor(ratio).log()).abs().argmin())

    def network_input(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x_t, t

    def x_0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self.coefficients(t, x_t)
        return posterior_mean(self.prediction, output, x_t, alpha, sigma)

    def target(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self.coefficients(t, x_0)
        return network_target(self.prediction, x_0, noise, alpha, sigma)

    def start(self, noise: Tensor, t: Tensor) -> Tensor:
        """Noise of unit variance: the schedule preserves it at every step."""
        return noise


@dataclass(frozen=True)
class Flow:
    """Rectified flow with times in [0, 1] and the model's own shift: alpha = 1 - t, sigma = t, u = noise - x_0.

    The distribution matching draws its times through the same shift as the teacher was trained with.
    """

    shift: float = 1.0
    train_steps: int = 1000
    prediction: str = "flow"

    def coefficients(self, t: Shaped[Tensor, " b"], like: Tensor) -> tuple[Tensor, Tensor]:
        sigma = t.to(like.device, like.dtype).reshape(-1, *[1] * (like.dim() - 1))
        return 1 - sigma, sigma

    def times(self, quantile: Float[Tensor, " b"], *, low: float, high: float) -> Shaped[Tensor, " b"]:
        u = low + quantile * (high - low)
        return self.shift * u / (1 + (self.shift - 1) * u)

    def time_for(self, noise_to_signal: float) -> float:
        return 1.0 if math.isinf(noise_to_signal) else noise_to_signal / (1 + noise_to_signal)

    def network_input(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x_t, t * self.train_steps

    def x_0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return posterior_mean("flow", output, x_t, *self.coefficients(t, x_t))

    def target(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return network_target("flow", x_0, noise, *self.coefficients(t, x_0))

    def start(self, noise: Tensor, t: Tensor) -> Tensor:
        """sigma noise; at t = 1 the noise itself, as the stock one-step call gives it."""
        return self.coefficients(t, noise)[1] * noise


@dataclass(frozen=True)
class Exploding:
    """EDM: alpha = 1, times are sigma, and the network is preconditioned around the deviation of the data.

    D = c_skip x_t + c_out F(c_in x_t, ln(sigma) / 4) with F's sign as the scheduler's `prediction_type` says.
    Source: Karras et al. 2022, arXiv:2206.00364, table 1; times follow its rho = 7 grid.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    prediction: str = "epsilon"

    def coefficients(self, t: Shaped[Tensor, " b"], like: Tensor) -> tuple[Tensor, Tensor]:
        sigma = t.to(like.device, like.dtype).reshape(-1, *[1] * (like.dim() - 1))
        return torch.ones_like(sigma), sigma

    def times(self, quantile: Float[Tensor, " b"], *, low: float, high: float) -> Shaped[Tensor, " b"]:
        least, most = self.sigma_min ** (1 / _RHO), self.sigma_max ** (1 / _RHO)
        return (least + (low + quantile * (high - low)) * (most - least)) ** _RHO

    def time_for(self, noise_to_signal: float) -> float:
        return min(noise_to_signal, self.sigma_max)

    def network_input(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        sigma = self.coefficients(t, x_t)[1]
        return x_t / (sigma.square() + self.sigma_data**2).sqrt(), t.log() / 4

    def x_0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        skip, out = self._skip_and_out(t, x_t)
        return skip * x_t + out * output

    def target(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        skip, out = self._skip_and_out(t, x_0)
        x_t = x_0 + self.coefficients(t, x_0)[1] * noise
        return (x_0 - skip * x_t) / out

    def start(self, noise: Tensor, t: Tensor) -> Tensor:
        """sigma noise."""
        return self.coefficients(t, noise)[1] * noise

    def _skip_and_out(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        sigma = self.coefficients(t, like)[1]
        total = sigma.square() + self.sigma_data**2
        sign = 1.0 if self.prediction == "epsilon" else -1.0
        return self.sigma_data**2 / total, sign * sigma * self.sigma_data / total.sqrt()


def log_snr(noising: Noising, t: Shaped[Tensor, " b"]) -> Float[Tensor, " b"]:
    """2 ln(alpha / sigma), float64, kept within +-40 where alpha or sigma is zero."""
    alpha, sigma = noising.coefficients(t, torch.zeros(len(t), dtype=torch.float64, device=t.device))
    return (2 * (alpha.log() - sigma.log())).clamp(-40, 40)


def read_noising(folder: Path) -> Noising:
    """The noising that a diffusers scheduler folder describes.

    Raises:
        PrerequisiteError: no `scheduler_config.json`.
        SpecError: a parametrisation that no adapter knows.
    """
    path = folder / "scheduler_config.json"
    if not path.is_file():
        raise PrerequisiteError(f"{folder}: has no scheduler_config.json. Cure: copy the complete diffusers folder.")
    config = json.loads(path.read_text(encoding="utf-8"))
    kind, prediction = str(config.get("_class_name", "")), config.get("prediction_type", "epsilon")
    if kind.startswith("FlowMatch"):
        if config.get("use_dynamic_shifting"):
            raise SpecError(f"{path}: use_dynamic_shifting leaves the time shift open. Cure: set it false, give shift.")
        return Flow(float(config.get("shift", 1.0)), int(config.get("num_train_timesteps", 1000)))
    if kind in _EDM_SCHEDULERS and prediction in {"epsilon", "v_prediction"}:
        sigmas = {key: float(config[key]) for key in ("sigma_min", "sigma_max", "sigma_data") if key in config}
        return Exploding(**sigmas, prediction=prediction)
    if prediction not in {"epsilon", "v_prediction", "sample"}:
        raise SpecError(
            f"{path}: prediction_type is unknown (got {prediction!r}). Cure: epsilon, v_prediction or sample with a "
            "scheduler of betas, a FlowMatch scheduler, or an EDM scheduler."
        )
    keys = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
    trained = {key: config[key] for key in keys if key in config}
    return Schedule(DDPMScheduler(**trained).alphas_cumprod.double(), prediction)


def check_start(noising: Noising, t_init: float, *, where: str) -> None:
    """Refuse a student that lives where its teacher has no posterior mean.

    Raises:
        SpecError: an epsilon teacher at a step with (almost) no signal, such as the last one of a schedule with zero
            terminal signal-to-noise ratio.
    """
    like = torch.zeros(1, dtype=torch.float64)
    alpha = float(noising.coefficients(torch.tensor([t_init]), like)[0])
    if noising.prediction == "epsilon" and not isinstance(noising, Exploding) and alpha < _LEAST_ALPHA:
        raise SpecError(
            f"{where}: an epsilon teacher needs signal where the student lives: x_0 = (x_t - sigma eps) / alpha "
            f"(got alpha = {alpha:.2g} at t = {t_init:g}). Cure: a smaller noise_to_signal, such as 2.5."
        )
