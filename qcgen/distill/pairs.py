"""A start for the student: regression on pairs (noise, x_0) that the teacher's own solver makes (Yin et al. 2024,
DMD)."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from diffusers import DPMSolverMultistepScheduler
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.distill.material import Material, Pairs
from qcgen.distill.networks import Networks
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.noising import Schedule
from qcgen.models.protocol import Teacher

_CHUNK = 128


@torch.no_grad()
def solve(
    teacher: Teacher,
    noise: Tensor,
    cond: Tensor,
    empty: Tensor,
    *,
    steps: int,
    guidance_scale: float,
) -> Float[Tensor, "b c h w"]:
    """x_0 from unit noise by DPM-Solver++ (2M) with classifier-free guidance; `steps` network calls a side.

    Raises:
        SpecError: the teacher's schedule is not variance preserving.
    """
    schedule = teacher.noising
    if not isinstance(schedule, Schedule):
        raise SpecError(
            f"pairs: the solver works on a variance-preserving schedule (got {type(schedule).__name__.lower()}). "
            "Cure: pairs: {count: 0}."
        )
    solver = DPMSolverMultistepScheduler(
        trained_betas=schedule.betas.tolist(),
        prediction_type=schedule.prediction,
        algorithm_type="dpmsolver++",
        timestep_spacing="trailing",
        use_karras_sigmas=False,
    )
    solver.set_timesteps(steps)
    x_t = noise * solver.init_noise_sigma
    both = torch.cat([cond, empty.expand_as(cond)])
    for t in solver.timesteps:
        output = teacher.predict(torch.cat([x_t, x_t]), t.to(noise.device).expand(2 * len(noise)), both)
        conditional, unconditional = output.chunk(2)
        x_t = solver.step(unconditional + guidance_scale * (conditional - unconditional), t, x_t).prev_sample
    return x_t


def make_pairs(
    spec: DistillSpec,
    teacher: Teacher,
    material: Material,
    *,
    cache: Path,
    made_from: str,
    device: str,
    check: Callable[[], None],
) -> Pairs:
    """`spec.pairs.count` pairs with the captions of real rows; made once and kept in `cache`.

    Args:
        made_from: what the pairs depend on; a cache that was made from something else is made again.
        check: called between network calls; what it raises ends the work.
    """
    if cache.is_file():
        state = cast(dict[str, Tensor], load_state(cache))
        if cast(object, state["made_from"]) == made_from:
            return Pairs(state["noise"], state["x_0"], state["caption"])
    generator = torch.Generator().manual_seed(spec.seed + 1)
    caption = material.draw_captions(spec.pairs.count, generator)
    noise = torch.randn((spec.pairs.count, *material.shape), generator=generator)
    made = []
    for part in torch.arange(spec.pairs.count).split(_CHUNK):
        check()
        x_0 = solve(
            teacher,
            noise[part].to(device),
            material.cond[caption[part]].to(device),
            material.cond[:1].to(device),
            steps=spec.pairs.solver_steps,
            guidance_scale=spec.guidance_scale,
        )
        made.append(x_0.cpu())
    pairs = Pairs(noise, torch.cat(made), caption)
    save_state(cache, {"made_from": made_from, "noise": pairs.noise, "x_0": pairs.x_0, "caption": pairs.caption})
    return pairs


def regress(
    spec: DistillSpec, networks: Networks, material: Material, generator: torch.Generator, *, step: int, clock: Clock
) -> dict[str, float]:
    """One step of the student on twice the batch of pairs, mean absolute error, cosine decay of the rate to a tenth."""
    pairs = material.pairs
    assert pairs is not None, "the stage is entered with pairs only"
    with clock.stage("data"):
        chosen = torch.randint(len(pairs.noise), (2 * spec.optim.batch,), generator=generator)
        device = networks.device
        noise, wanted = pairs.noise[chosen].to(device), pairs.x_0[chosen].to(device)
        cond = material.cond[pairs.caption[chosen]].to(device)
    networks.set_rate("student", spec.pairs.lr * (0.55 + 0.45 * math.cos(math.pi * step / spec.pairs.steps)))
    loss_sum = 0.0
    with clock.stage("student"):
        for z, x_0, c in zip(*(one.chunk(spec.optim.accumulate) for one in (noise, wanted, cond)), strict=True):
            loss = F.l1_loss(networks.generate(networks.student, z, c), x_0) / spec.optim.accumulate
            loss.backward()
            loss_sum += loss.item()
    return {"pairs_loss": loss_sum, "grad_norm": networks.step("student", clock)}
