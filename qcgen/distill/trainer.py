"""The distillation loop: student, fake score and discriminator against a frozen teacher."""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qcgen.core.distillspec import DistillSpec
from qcgen.distill.discriminator import Discriminator, discriminator_loss, features
from qcgen.distill.loss import Posteriors, matching_gradient, weigh
from qcgen.distill.protocol import Divergence
from qcgen.distill.ratio import RatioEstimator
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.families.sd15 import Schedule


@dataclass(frozen=True, slots=True)
class Material:
    """What a distillation consumes.

    Attributes:
        latents: real latents, `rounds rows c h w`, scaled to unit deviation.
        weights: relative frequency of each row, as the teacher saw it.
        caption_of: index into `cond` of each row.
        cond: text conditions; row 0 is the empty caption.
    """

    latents: Tensor
    weights: Tensor
    caption_of: Tensor
    cond: Tensor

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Indices of `n` rows."""
        return torch.multinomial(self.weights, n, replacement=True, generator=generator)


class Distiller:
    """One optimiser step of each network at a time; `step` is the student's, `update_critics` the fake score's and
    discriminator's."""

    def __init__(
        self,
        spec: DistillSpec,
        teacher: UNet2DConditionModel,
        schedule: Schedule,
        material: Material,
        divergence: Divergence,
    ) -> None:
        self.spec, self.schedule, self.material, self.divergence = spec, schedule, material, divergence
        self.teacher = teacher.eval().requires_grad_(False)
        self.student = copy.deepcopy(teacher).requires_grad_(True)
        self.fake = copy.deepcopy(teacher).requires_grad_(True)
        self.t_init = schedule.step_for(spec.student.noise_to_signal)
        self.generator = torch.Generator().manual_seed(spec.seed)
        torch.manual_seed(spec.seed)
        channels = [*teacher.config.block_out_channels, teacher.config.block_out_channels[-1]]
        self.discriminator = Discriminator(channels, material.cond.shape[-1])
        self.ratio = RatioEstimator(spec.ratio)
        self.averaged = AveragedModel(self.student, multi_avg_fn=get_ema_multi_avg_fn(spec.optim.ema))
        self.optimisers = {
            "student": torch.optim.AdamW(self.student.parameters(), lr=spec.optim.lr, betas=(0.9, 0.99)),
            "fake": torch.optim.AdamW(self.fake.parameters(), lr=spec.fake.lr, betas=(0.9, 0.99)),
            "discriminator": torch.optim.AdamW(self.discriminator.parameters(), lr=spec.gan.lr, betas=(0.5, 0.99)),
        }
        steps = schedule.alphas_cumprod.numel()
        self.low, self.high = int(spec.time.low * steps), int(spec.time.high * steps)
        self.levels = self.high - self.low

    def generate(self, model: nn.Module, noise: Tensor, cond: Tensor) -> Tensor:
        """x_0 of a student in one call."""
        t = torch.full((len(noise),), self.t_init)
        return self.schedule.x_0(self._call(model, noise, t, cond), noise, t)

    def _call(self, model: nn.Module, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        with torch.autocast(x_t.device.type, torch.bfloat16):
            output = model(x_t, t, cond).sample
        return cast(Tensor, output).float()

    def _mean(self, model: nn.Module, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return self.schedule.x_0(self._call(model, x_t, t, cond), x_t, t)

    def _noised(self, x_0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x_t, t, level): t uniform over the range; level is its quantile in [0, 1)."""
        t = torch.randint(self.low, self.high, (len(x_0),), generator=self.generator)
        alpha, sigma = self.schedule.coefficients(t, x_0)
        noise = torch.randn(x_0.shape, generator=self.generator)
        return alpha * x_0 + sigma * noise, t, (t - self.low) / self.levels

    def _draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """(noise, cond, real latents) of one batch; the captions are those of the real rows."""
        n = self.spec.optim.batch
        rows = self.material.draw(n, self.generator)
        rounds = torch.randint(len(self.material.latents), (n,), generator=self.generator)
        real = self.material.latents[rounds, rows].float()
        noise = torch.randn(real.shape, generator=self.generator)
        return noise, self.material.cond[self.material.caption_of[rows]], real

    def _logits(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        with torch.autocast(x_t.device.type, torch.bfloat16):
            return cast(Tensor, self.discriminator(features(self.teacher, x_t, t, cond), cond)).float()

    def update_critics(self) -> dict[str, float]:
        """One step of the fake score (v-loss on student samples) and of the discriminator (logistic, with R1 by
        finite difference)."""
        noise, cond, real = self._draw()
        with torch.no_grad():
            x_0 = self.generate(self.student, noise, cond)
        x_t, t, level = self._noised(x_0)
        alpha, sigma = self.schedule.coefficients(t, x_t)
        target = (alpha * x_t - x_0) / sigma if self.schedule.prediction == "v_prediction" else None
        output = self._call(self.fake, x_t, t, cond)
        fake_loss = (
            F.mse_loss(output, target) if target is not None else F.mse_loss(self.schedule.x_0(output, x_t, t), x_0)
        )
        self._apply("fake", self.fake, fake_loss)

        real_t, t_real, level_real = self._noised(real)
        fake_logits, real_logits = self._logits(x_t, t, cond), self._logits(real_t, t_real, cond)
        loss = discriminator_loss(real_logits, fake_logits)
        if self.spec.gan.r1 > 0:
            # Approximate R1: the same noise level and draw on both sides, so that only the clean picture differs.
            shaken = real_t + 0.05 * self.schedule.coefficients(t_real, real_t)[0] * torch.randn(
                real.shape, generator=self.generator
            )
            loss = loss + self.spec.gan.r1 * (self._logits(shaken, t_real, cond) - real_logits).square().mean()
        self._apply("discriminator", self.discriminator, loss)
        self.ratio.update(fake_logits.detach(), level, real_logits.detach(), level_real)
        right = ((real_logits > 0).float().mean() + (fake_logits < 0).float().mean()) / 2
        return {"fake_loss": fake_loss.item(), "d_loss": loss.item(), "d_accuracy": right.item()}

    def update_student(self, step: int) -> dict[str, float]:
        """Two-stage backward: gradients at x_0 first (no graph through the critics), then through the student."""
        noise, cond, _ = self._draw()
        x_0 = self.generate(self.student, noise, cond)
        leaf = x_0.detach()
        with torch.no_grad():
            x_t, t, level = self._noised(leaf)
            empty = self.material.cond[:1].expand_as(cond)
            guided = self.spec.guidance_scale > 1
            both = (
                self._mean(self.teacher, torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([cond, empty]))
                if guided
                else None
            )
            means = Posteriors(
                teacher=both[: len(leaf)] if both is not None else self._mean(self.teacher, x_t, t, cond),
                teacher_uncond=both[len(leaf) :] if both is not None else None,
                fake=self._mean(self.fake, x_t, t, cond),
            )
            ratio = self.ratio.read(self._logits(x_t, t, cond), level)
            weight = weigh(self.divergence, ratio)
            gradient = (
                matching_gradient(
                    leaf,
                    means,
                    weight,
                    guidance_scale=self.spec.guidance_scale,
                    decoupled=self.spec.decoupled,
                    normaliser=self.spec.normaliser,
                )
                / leaf.numel()
            )
        numbers = {
            "dm_norm": gradient.norm().item(),
            "ess": (weight.mean().square() / weight.square().mean()).item(),
            "mean_ratio": self.ratio.mean_ratio().mean().item(),
            "mean_inverse_ratio": self.ratio.mean_inverse_ratio().mean().item(),
            "trust": ratio.trust.mean().item(),
            "clipped": ratio.clipped_share,
            "x_0_std": leaf.std().item(),
        }
        if self.spec.gan.weight > 0 and step >= self.spec.gan.start * self.spec.optim.steps:
            adversarial = self._adversarial_gradient(leaf, cond)
            numbers["gan_norm"] = adversarial.norm().item()
            gradient = gradient + adversarial
        self._apply("student", self.student, (x_0 * gradient).sum())
        self.averaged.update_parameters(self.student)
        return numbers

    def _adversarial_gradient(self, leaf: Tensor, cond: Tensor) -> Tensor:
        probe = leaf.clone().requires_grad_(True)
        x_t, t, _ = self._noised(probe)
        loss = self.spec.gan.weight * F.softplus(-self._logits(x_t, t, cond)).mean()
        return torch.autograd.grad(loss, probe)[0]

    def _apply(self, name: str, module: nn.Module, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), self.spec.optim.clip_norm)
        optimiser.step()

    def state_dict(self) -> dict[str, object]:
        modules = {
            "student": self.student,
            "fake": self.fake,
            "discriminator": self.discriminator,
            "averaged": self.averaged,
        }
        return {
            **{name: module.state_dict() for name, module in modules.items()},
            **{f"{name}_optimiser": optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "ratio": self.ratio.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        for name in ("student", "fake", "discriminator", "averaged"):
            getattr(self, name).load_state_dict(state[name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(cast(dict[str, object], state[f"{name}_optimiser"]))
        self.ratio.load_state_dict(cast(dict[str, Tensor], state["ratio"]))
        self.generator.set_state(cast(Tensor, state["generator"]))


def run(distiller: Distiller, folder: Path, *, log: Callable[[dict[str, float]], None]) -> UNet2DConditionModel:
    """Train to the job's last step, resuming from a checkpoint in `folder`; returns the averaged student."""
    spec = distiller.spec
    checkpoint = folder / "checkpoint.safetensors"
    start = 0
    if checkpoint.exists():
        state = cast(dict[str, object], load_state(checkpoint))
        distiller.load_state_dict(state)
        start = cast(int, state["step"])
    if start == 0:
        for _ in range(spec.fake.warmup):
            distiller.update_critics()
    began_s = time.monotonic()
    for step in range(start, spec.optim.steps):
        for group in distiller.optimisers["student"].param_groups:
            group["lr"] = spec.optim.lr * min(1.0, (step + 1) / max(spec.optim.warmup, 1))
        for _ in range(spec.fake.updates):
            numbers = distiller.update_critics()
        numbers |= distiller.update_student(step)
        if step % 10 == 0 or step + 1 == spec.optim.steps:
            log({"step": float(step), **numbers, "steps_per_s": (step + 1 - start) / (time.monotonic() - began_s)})
        if (step + 1) % spec.checkpoint_every == 0 or step + 1 == spec.optim.steps:
            save_state(checkpoint, {**distiller.state_dict(), "step": step + 1})
    return cast(UNet2DConditionModel, distiller.averaged.module)


def log_to(path: Path) -> Callable[[dict[str, float]], None]:
    """Append rows of numbers to a JSON-lines file."""

    def write(row: dict[str, float]) -> None:
        with path.open("a") as file:
            file.write(json.dumps({key: round(value, 5) for key, value in row.items()}) + "\n")

    return write
