"""How much the student's gradient varies from batch to batch."""

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from qcgen.core.clock import Clock
from qcgen.distill.material import Sampler
from qcgen.distill.ratio import RatioEstimator
from qcgen.distill.student import Weighting, add_gradients
from qcgen.distill.trainer import Trainer

_SEED = 99


def noise_share(trainer: Trainer, *, batches: int) -> float:
    """E |g - E g|^2 / E |g|^2 of the matching gradient at the state where a training ended; 1 is noise alone."""
    total, noise = _moments(trainer, trainer.weighting, trainer.ratio, batches)
    return round(noise / total, 4)


def variances(trainer: Trainer, weightings: Mapping[str, Weighting], *, batches: int) -> dict[str, dict[str, float]]:
    """For each divergence at one and the same state and batches: the gradient's variance over that of reverse KL, and
    the share of noise. Every h has mean 1 by its own running mean, so the scales are alike."""
    found = {
        name: _moments(trainer, weighting, _fresh(trainer, weighting), batches)
        for name, weighting in weightings.items()
    }
    plain = found["reverse_kl"][1]
    return {
        name: {"variance": round(noise / plain, 4), "noise_share": round(noise / total, 4)}
        for name, (total, noise) in found.items()
    }


def _fresh(trainer: Trainer, weighting: Weighting) -> RatioEstimator:
    """The ratio with the running mean of this divergence's weights, from batches of their own."""
    ratio, new = (RatioEstimator(trainer.spec.ratio) for _ in range(2))
    ratio.load_state_dict({"critic": trainer.ratio.state_dict()["critic"], "student": new.state_dict()["student"]})
    _moments(trainer, weighting, ratio, 12, seed=_SEED + 1, after=ratio.commit_student)
    return ratio


def _moments(
    trainer: Trainer,
    weighting: Weighting,
    ratio: RatioEstimator,
    batches: int,
    *,
    seed: int = _SEED,
    after: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """E |g|^2 and E |g - E g|^2 over batches, without the adversarial term."""
    spec = trainer.spec.model_copy(update={"gan": trainer.spec.gan.model_copy(update={"weight": 0.0})})
    networks = trainer.networks
    sampler = Sampler(
        spec,
        trainer.material,
        networks.teacher.noising,
        torch.Generator().manual_seed(seed),
        device=networks.device,
    )
    parameters = list(cast(nn.Module, networks.student).parameters())
    gradients: list[Tensor] = []
    for _ in range(batches):
        batch, empty = sampler.student(spec.optim.batch), sampler.empty(spec.optim.batch)
        add_gradients(spec, networks, ratio, batch, weighting, empty=empty, progress=1.0, clock=Clock())
        gradients.append(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]))
        for parameter in parameters:
            parameter.grad = None
        after()
    seen = torch.stack(gradients)
    noise = float(seen.var(0).sum())
    return float(seen.square().sum(1).mean()), noise
