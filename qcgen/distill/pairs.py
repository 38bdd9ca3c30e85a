"""A start for the student: regression on pairs (noise, x_0) that the teacher's own solver makes (Yin et al. 2024,
DMD)."""

import itertools
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import torch
from diffusers import DPMSolverMultistepScheduler
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec
from qcgen.distill.material import Material, Pairs
from qcgen.distill.networks import Networks
from qcgen.distill.ranks import Ranks
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.noising import Exploding, Schedule
from qcgen.models.protocol import Noising, Teacher

Call = Callable[[Tensor, Tensor, Tensor], Tensor]
"""x_t, times and conditions to what a network says of them."""

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
    """x_0 from unit noise with classifier-free guidance: DPM-Solver++ (2M) on a variance-preserving schedule, Heun's
    method on EDM and flow. `solver_calls` tells the network calls."""
    both = torch.cat([cond, empty.expand_as(cond)])

    def guided(call: Call, x_t: Tensor, t: Tensor) -> Tensor:
        if guidance_scale == 1:
            return call(x_t, t.expand(len(x_t)), cond)
        output = call(torch.cat([x_t, x_t]), t.expand(2 * len(x_t)), both)
        conditional, unconditional = output.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    schedule = teacher.noising
    if not isinstance(schedule, Schedule):
        return _heun(schedule, partial(guided, teacher.denoise), noise, steps)
    solver = DPMSolverMultistepScheduler(
        trained_betas=schedule.betas.tolist(),
        prediction_type=schedule.prediction,
        algorithm_type="dpmsolver++",
        timestep_spacing="trailing",
        use_karras_sigmas=False,
    )
    solver.set_timesteps(steps)
    x_t = noise * solver.init_noise_sigma
    for t in solver.timesteps:
        x_t = solver.step(guided(teacher.predict, x_t, t.to(noise.device)), t, x_t).prev_sample
    return x_t


def solver_calls(noising: Noising, steps: int, guidance_scale: float) -> int:
    """Network calls a picture of `solve`: Heun's method looks twice at each step but the last."""
    looks = steps if isinstance(noising, Schedule) else 2 * steps - 1
    return looks if guidance_scale == 1 else 2 * looks


def _heun(noising: Noising, denoise: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Second-order steps of dx/dt = (x - mu) / t, which holds for EDM and for flow alike, from the last time to 0.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1 without churn.
    """
    # EDM's grid ends at its least sigma; flow's own is an even share above 0.
    last = 0.0 if isinstance(noising, Exploding) else 1 / steps
    places = torch.linspace(1, last, steps, dtype=torch.float64)
    times = noising.times(places, low=0.0, high=1.0).to(noise.device, torch.float32)
    x_t = noising.start(noise, times[:1])
    for t, following in itertools.pairwise(times):
        slope = (x_t - denoise(x_t, t)) / t
        ahead = x_t + (following - t) * slope
        x_t = x_t + (following - t) * (slope + (ahead - denoise(ahead, following)) / following) / 2
    # The step to 0 ends on the posterior mean.
    return denoise(x_t, times[-1])


def make_pairs(
    spec: DistillSpec,
    teacher: Teacher,
    material: Material,
    *,
    cache: Path,
    made_from: str,
    device: str,
    check: Callable[[], None],
    ranks: Ranks | None = None,
) -> Pairs:
    """`spec.pairs.count` pairs with the captions of real rows; made once and kept in `cache`.

    Args:
        made_from: what the pairs depend on; a cache that was made from something else is made again.
        check: called between network calls; what it raises ends the work.
        ranks: the processes that share the work, whole calls of the teacher each; all get all pairs.
    """
    ranks = ranks or Ranks()
    with ranks.together():
        kept = _read(cache, made_from)
    all_have = ranks.means([float(kept is not None)]) == [1.0]
    if all_have and kept is not None:
        return kept
    generator = torch.Generator().manual_seed(spec.seed + 1)
    caption = material.draw_captions(spec.pairs.count, generator)
    noise = torch.randn((spec.pairs.count, *material.shape), generator=generator)
    made = torch.zeros_like(noise)
    for place, part in enumerate(torch.arange(spec.pairs.count).split(_CHUNK)):
        if place % ranks.world == 0:
            ranks.check(check)
        if place % ranks.world != ranks.rank:
            continue
        made[part] = solve(
            teacher,
            noise[part].to(device),
            material.cond[caption[part]].to(device),
            material.cond[:1].to(device),
            steps=spec.pairs.solver_steps,
            guidance_scale=spec.guidance_scale,
        ).cpu()
    # Each row was made by one process and is zero at all others.
    pairs = Pairs(noise, ranks.sum_(made), caption)
    if ranks.first:
        save_state(cache, {"made_from": made_from, "noise": pairs.noise, "x_0": pairs.x_0, "caption": pairs.caption})
    return pairs


def _read(cache: Path, made_from: str) -> Pairs | None:
    state = cast(dict[str, Tensor], load_state(cache)) if cache.is_file() else None
    if state is None or cast(object, state["made_from"]) != made_from:
        return None
    return Pairs(state["noise"], state["x_0"], state["caption"])


def regress(
    spec: DistillSpec, networks: Networks, material: Material, generator: torch.Generator, *, step: int, clock: Clock
) -> dict[str, float]:
    """One step of the student on twice the batch of pairs, mean absolute error, cosine decay of the rate to a tenth."""
    pairs, ranks = material.pairs, networks.ranks
    assert pairs is not None, "the stage is entered with pairs only"
    with clock.stage("data"):
        chosen = ranks.part(torch.randint(len(pairs.noise), (2 * spec.optim.batch,), generator=generator))
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
    return {"pairs_loss": ranks.means([loss_sum])[0], "grad_norm": networks.step("student", clock)}
