"""The distillation's step against a plain loop that makes the same network calls, and what the loop itself costs."""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.distill.blend import read_blend
from qcgen.distill.critics import fake_loss
from qcgen.distill.discriminator import discriminator_loss, gradient_penalty
from qcgen.distill.loss import Posteriors, matching_gradient
from qcgen.distill.material import Material
from qcgen.distill.networks import Networks
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.models.embedded import pick_dtype
from qcgen.models.families.sd15 import Parts
from qcgen.models.find import resolve_model

TEACHER = "embedded:teacher-apparel"
STEPS = 6
NETWORK_STAGES = ("teacher", "fake", "discriminator", "student", "optimiser")


def build(folder: Path, parts: Parts, *, batch: int, updates: int) -> Trainer:
    """A trainer in its matching stage on made-up latents of the teacher's shape, with the defaults of a job."""
    teacher = parts.load_network("cpu", dtype=pick_dtype("auto", "cpu"))
    channels, side, _ = parts.latent_shape
    spec = DistillSpec.model_validate({
        "version": 1, "name": "bench", "teacher": parts.root, "captions": folder, "out": folder, "threads": 1,
        "fake": {"updates": updates, "warmup": 1}, "optim": {"batch": batch, "steps": 1000},
        "checkpoint_every": 10**6, "monitor": {"every": 10, "probe_every": 10**6},
    })  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    material = Material(
        latents=torch.randn(1, 256, channels, side, side, generator=generator),
        weights=torch.ones(256),
        caption_of=torch.randint(1, 20, (256,), generator=generator),
        cond=torch.randn(20, 32, int(teacher.core.config.cross_attention_dim), generator=generator),
    )
    noising = parts.schedule
    networks = Networks(spec, teacher, cond_dim=material.cond.shape[-1], t_init=noising.time_for(2.5), device="cpu")
    hooks = Hooks(tell=lambda event: None, check=lambda: None)
    trainer = Trainer(spec, networks, material, read_blend(DivergenceSpec()), fingerprint={}, hooks=hooks)
    trainer.stage = "matching"
    return trainer


def plain_step(trainer: Trainer) -> None:
    """The same network calls in the shortest loop that one would write for them: no ratio, no monitor, no stages."""
    spec, networks, sampler = trainer.spec, trainer.networks, trainer.sampler
    noising, n = networks.teacher.noising, spec.optim.batch
    for _ in range(trainer.lag.updates):
        batch = sampler.critic(n)
        with torch.no_grad():
            x_0 = networks.generate(networks.student, batch.noise, batch.cond)
        _descend(networks, "fake", fake_loss(networks, batch, x_0))
        shaken = batch.real + spec.gan.r1_sigma * batch.shake
        sides = ((batch.at_fake, x_0), (batch.at_real, batch.real), (batch.at_real, shaken))
        x_t = torch.cat([at.apply(noising, clean) for at, clean in sides])
        cond = torch.cat([batch.cond] * 3)
        with torch.no_grad():
            maps = networks.teacher.features(x_t, torch.cat([at.t for at, _ in sides]), cond)
        fake, real, moved = networks.logits(maps, cond).chunk(3)
        penalty = gradient_penalty(real, moved, sigma=spec.gan.r1_sigma)
        _descend(networks, "discriminator", discriminator_loss(real, fake) + spec.gan.r1 / 2 * penalty)
    batch, empty = sampler.student(n), sampler.empty(n)
    x_0 = networks.generate(networks.student, batch.noise, batch.cond)
    with torch.no_grad():
        x_t = batch.at_match.apply(noising, x_0)
        t = batch.at_match.t
        both, maps = networks.teacher.denoise_with_features(
            torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([batch.cond, empty])
        )
        networks.logits([one[:n] for one in maps], batch.cond)
        means = Posteriors(both[:n], both[n:], networks.fake.denoise(x_t, t, batch.cond))
        gradient = matching_gradient(
            means, torch.ones(n), guidance_scale=spec.guidance_scale, decoupled=True, scale=None
        )
    _descend(networks, "student", F.mse_loss(x_0, (x_0 - gradient).detach()))
    networks.average()


def _descend(networks: Networks, name: str, loss: torch.Tensor) -> None:
    optimiser = networks.optimisers[name]
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], 10.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def measure(steps: int, *, batch: int = 32, updates: int = 2) -> dict[str, object]:
    """Processor seconds a step, taken in turns so that a busy machine slows both alike, with the clock's shares.

    A probe and a checkpoint are given as shares of the training at the default intervals.
    """
    torch.set_num_threads(1)
    parts = Parts.find(resolve_model(TEACHER).folder)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(Path(folder), parts, batch=batch, updates=updates)
        trainer.turn()
        plain_step(trainer)
        before = trainer.clock.seconds()
        ours, plain, wall = [], [], 0.0
        for _ in range(steps):
            began_s = time.perf_counter()
            ours.append(_seconds(trainer.turn))
            wall += time.perf_counter() - began_s
            plain.append(_seconds(lambda: plain_step(trainer)))
        spent = {name: value - before.get(name, 0.0) for name, value in trainer.clock.seconds().items()}
        step_s = sum(ours) / steps
        defaults = DistillSpec.model_fields
        checkpoint_s = _seconds(trainer.save)
        probe_s = _probe_seconds(trainer)
        every = int(defaults["checkpoint_every"].default)
        probe_every = int(defaults["monitor"].default.probe_every)
    return {
        "teacher": TEACHER,
        "batch": batch,
        "fake_updates": updates,
        "n": steps,
        "seed": 0,
        "step_cpu_s": _summary(ours),
        "plain_cpu_s": _summary(plain),
        "step_over_plain": round(step_s / (sum(plain) / steps), 3),
        "shares": {name: round(value / wall, 4) for name, value in spent.items()},
        "networks_share": round(sum(spent.get(name, 0.0) for name in NETWORK_STAGES) / wall, 4),
        "checkpoint_share_at_default": round(checkpoint_s / every / step_s, 4),
        "probe_share_at_default": round(probe_s / probe_every / step_s, 4),
        "machine": {"threads": 1, "cpus": os.cpu_count(), "load": os.getloadavg()[0], "torch": torch.__version__},
    }


def _probe_seconds(trainer: Trainer) -> float:
    """What a probing step costs beyond a usual one with a fixed number of fake updates."""
    trainer.spec = trainer.spec.model_copy(
        update={"monitor": trainer.spec.monitor.model_copy(update={"probe_every": 1})}
    )
    probing = _seconds(trainer.turn)
    trainer.spec = trainer.spec.model_copy(
        update={"monitor": trainer.spec.monitor.model_copy(update={"probe_every": 10**6})}
    )
    return max(probing - _seconds(trainer.turn), 0.0)


def _seconds(work: Callable[[], None]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


def _summary(values: list[float]) -> dict[str, float]:
    mean = sum(values) / len(values)
    return {"mean": round(mean, 4), "low": round(min(values), 4), "high": round(max(values), 4)}


def main(results: Path) -> None:
    (results / "distill_step.json").write_text(json.dumps(measure(STEPS), indent=1) + "\n", encoding="utf-8")
