"""Small real networks and exact densities in two dimensions, in the trainer's own protocols."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from qcgen.core.distillspec import DistillSpec, DivergenceSpec
from qcgen.distill.blend import read_blend
from qcgen.distill.material import Material, Pairs
from qcgen.distill.networks import Networks
from qcgen.distill.ranks import Ranks
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.models.noising import Exploding
from qcgen.models.protocol import Noising

WIDTH = 64


class MlpTeacher(nn.Module):
    """A three-layer network on points `b 2 1 1`; follows `models.protocol.Teacher`."""

    def __init__(self, noising: Noising, seed: int = 0) -> None:
        super().__init__()
        self._noising = noising
        torch.manual_seed(seed)
        self.enter, self.middle, self.leave = nn.Linear(3, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2)

    @property
    def noising(self) -> Noising:
        return self._noising

    @property
    def channels(self) -> list[int]:
        return [WIDTH, WIDTH]

    def predict(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return self.leave(self.features(x_t, t, cond)[-1].flatten(1))[..., None, None]

    def denoise(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        return self._noising.x_0(self.predict(x_t, t, cond), x_t, t)

    def features(self, x_t: Tensor, t: Tensor, cond: Tensor) -> list[Tensor]:
        scaled, time = self._noising.network_input(x_t, t)
        first = torch.nn.functional.silu(self.enter(torch.cat([scaled.flatten(1), time[:, None].float()], 1)))
        second = torch.nn.functional.silu(self.middle(first))
        return [first[..., None, None], second[..., None, None]]

    def denoise_with_features(self, x_t: Tensor, t: Tensor, cond: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.denoise(x_t, t, cond), self.features(x_t, t, cond)


class Mixture:
    """A Gaussian mixture with one deviation, and what follows exactly from it under x_t = x_0 + sigma noise."""

    def __init__(self, means: Tensor, masses: Tensor, deviation: float) -> None:
        self.means, self.masses, self.deviation = means, masses / masses.sum(), deviation

    @classmethod
    def ring(cls, masses: Tensor, radius: float = 2.0, deviation: float = 0.15) -> "Mixture":
        angle = torch.arange(len(masses)) * 2 * math.pi / len(masses)
        return cls(radius * torch.stack([angle.cos(), angle.sin()], 1), masses, deviation)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        mode = torch.multinomial(self.masses, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator)
        return self.means[mode] + self.deviation * noise

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        return torch.logsumexp(self._log_parts(x, sigma), 1)

    def posterior_mean(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 | x] for x = x_0 + sigma noise."""
        share = self._log_parts(x, sigma).softmax(1)
        gain = self.deviation**2 / (self.deviation**2 + sigma[:, None] ** 2)
        near = self.means[None] + gain[..., None] * (x[:, None] - self.means[None])
        return (share[..., None] * near).sum(1)

    def _log_parts(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = (self.deviation**2 + sigma**2)[:, None]
        square = (x[:, None] - self.means[None]).square().sum(-1)
        size = self.means.shape[1]
        return self.masses.log() - square / (2 * variance) - size / 2 * (2 * math.pi * variance).log()


def make_spec(folder: Path, **changes: Mapping[str, object]) -> DistillSpec:
    """A job for the toy; each change replaces keys of one group."""
    groups: dict[str, dict[str, object]] = {
        "ratio": {"bins": 2},
        "gan": {"start": 0.5},
        "fake": {"updates": 2, "warmup": 3},
        "optim": {"batch": 16, "steps": 12, "warmup": 2, "precision": "float32"},
        "monitor": {"every": 2, "probe_every": 5},
        "student": {"noise_to_signal": 10.0},
    }
    plain: dict[str, object] = {}
    for name, change in changes.items():
        if isinstance(change, dict):
            groups[name] = {**groups.get(name, {}), **change}
        else:
            plain[name] = change
    places = {"teacher": folder, "captions": folder, "out": folder}
    base = {"version": 1, "name": "toy", **places, "guidance_scale": 1.0, "seed": 3, "checkpoint_every": 4}
    return DistillSpec.model_validate({**base, **groups, **plain})


def make_material(n: int = 400) -> Material:
    ring = Mixture.ring(torch.tensor([0.25, 0.05, 0.20, 0.05, 0.15, 0.05, 0.20, 0.05]))
    points = ring.sample(n, torch.Generator().manual_seed(7))
    cond = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(8))
    caption = torch.arange(n) % 2 + 1
    return Material(points.reshape(1, n, 2, 1, 1), torch.ones(n), caption, cond)


def make_networks(spec: DistillSpec, *, noising: Noising | None = None, ranks: Ranks | None = None) -> Networks:
    teacher = MlpTeacher(noising or Exploding(sigma_min=0.02, sigma_max=10.0))
    t_init = 10.0 if noising is None else 0.9
    return Networks(spec, teacher, cond_dim=4, t_init=t_init, device="cpu", ranks=ranks)


def make_pairs(n: int = 64) -> Pairs:
    """Points that a start on pairs may learn; any will do."""
    generator = torch.Generator().manual_seed(9)
    noise = torch.randn(n, 2, 1, 1, generator=generator)
    return Pairs(noise, 2 * noise.tanh(), torch.arange(n) % 2 + 1)


def make_trainer(spec: DistillSpec, hooks: Hooks | None = None, ranks: Ranks | None = None) -> Trainer:
    spec.out.mkdir(parents=True, exist_ok=True)
    silent = Hooks(tell=lambda event: None, check=lambda: None)
    weighting = read_blend(DivergenceSpec())
    material = replace(make_material(), pairs=make_pairs()) if spec.pairs.count else make_material()
    networks = make_networks(spec, ranks=ranks)
    return Trainer(spec, networks, material, weighting, fingerprint={"job": "toy"}, hooks=hooks or silent)
