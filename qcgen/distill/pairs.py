"""A start for the student: regression on pairs (noise, x_0) that the teacher's own solver makes (Yin et al. 2024,
DMD)."""

from dataclasses import dataclass

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.distillspec import DistillSpec
from qcgen.distill.trainer import Distiller, Material
from qcgen.models.families.sd15 import Schedule


@dataclass(frozen=True, slots=True)
class Pairs:
    """Noise, the x_0 that the guided teacher makes of it, and the row of its condition."""

    noise: Float[Tensor, "n c h w"]
    x_0: Float[Tensor, "n c h w"]
    caption: Int[Tensor, " n"]


@torch.no_grad()
def solve(
    teacher: UNet2DConditionModel,
    schedule: Schedule,
    noise: Tensor,
    cond: Tensor,
    empty: Tensor,
    *,
    steps: int,
    guidance_scale: float,
) -> Float[Tensor, "b c h w"]:
    """x_0 from unit noise by DPM-Solver++ (2M) with classifier-free guidance; `steps` network calls a side."""
    solver = DPMSolverMultistepScheduler(
        trained_betas=(
            1 - schedule.alphas_cumprod / torch.cat([torch.ones(1).double(), schedule.alphas_cumprod[:-1]])
        ).tolist(),
        prediction_type=schedule.prediction,
        algorithm_type="dpmsolver++",
        timestep_spacing="trailing",
        use_karras_sigmas=False,
    )
    solver.set_timesteps(steps)
    x_t = noise * solver.init_noise_sigma
    both = torch.cat([cond, empty.expand_as(cond)])
    for t in solver.timesteps:
        with torch.autocast(noise.device.type, torch.bfloat16):
            output = teacher(torch.cat([x_t, x_t]), t, both).sample.float()
        conditional, unconditional = output.chunk(2)
        x_t = solver.step(unconditional + guidance_scale * (conditional - unconditional), t, x_t).prev_sample
    return x_t


def make_pairs(spec: DistillSpec, teacher: UNet2DConditionModel, schedule: Schedule, material: Material) -> Pairs:
    """`spec.pairs.count` pairs with the captions of real rows."""
    generator = torch.Generator().manual_seed(spec.seed + 1)
    count = spec.pairs.count
    rows = material.draw(count, generator)
    noise = torch.randn((count, *material.latents.shape[2:]), generator=generator)
    caption = material.caption_of[rows]
    x_0 = torch.cat(
        [
            solve(
                teacher,
                schedule,
                noise[part],
                material.cond[caption[part]],
                material.cond[:1],
                steps=spec.pairs.solver_steps,
                guidance_scale=spec.guidance_scale,
            )
            for part in torch.arange(count).split(128)
        ]
    )
    return Pairs(noise, x_0, caption)


def regress(distiller: Distiller, pairs: Pairs) -> list[float]:
    """Train the student on the pairs with the mean absolute error; returns the loss every 20 steps."""
    spec = distiller.spec
    optimiser = torch.optim.AdamW(
        distiller.student.parameters(), lr=spec.pairs.lr, betas=(0.9, 0.99), weight_decay=0.01
    )
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, spec.pairs.steps, eta_min=spec.pairs.lr * 0.1)
    losses = []
    for step in range(spec.pairs.steps):
        chosen = torch.randint(len(pairs.noise), (2 * spec.optim.batch,), generator=distiller.generator)
        x_0 = distiller.generate(distiller.student, pairs.noise[chosen], distiller.material.cond[pairs.caption[chosen]])
        loss = F.l1_loss(x_0, pairs.x_0[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(distiller.student.parameters(), 1.0)
        optimiser.step()
        decay.step()
        if step % 20 == 0:
            losses.append(round(loss.item(), 5))
    distiller.averaged.module.load_state_dict(distiller.student.state_dict())
    return losses
