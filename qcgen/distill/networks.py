"""The networks of a distillation and their optimisers, as one state that is saved and restored."""

import copy
from collections.abc import Mapping
from typing import cast

import torch
from diffusers import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.distill.discriminator import Discriminator
from qcgen.distill.ranks import Ranks
from qcgen.distill.sharding import (
    gathered,
    is_sharded,
    local_of,
    mesh_of,
    parts_of_moments,
    parts_of_state,
    put_apart,
    shard,
    whole_of,
)
from qcgen.models.compiled import compile_blocks, wanted
from qcgen.models.lora import TARGETS, SharedAverage, adapt, load_trained, share, trained
from qcgen.models.network import Network
from qcgen.models.protocol import Teacher

TRAINED = ("student", "fake", "discriminator")


class Networks:
    """Teacher (frozen), student, fake score and discriminator; the student and the fake score start as the teacher.

    With `optim.lora` the three share one set of base weights, and student and fake score learn by adapters.

    Args:
        teacher: a module that follows `models.protocol.Teacher`.
        cond_dim: width of the conditions.
        t_init: time at which the student lives.
        ranks: the processes that train the same networks; by default this one alone.
    """

    def __init__(
        self,
        spec: DistillSpec,
        teacher: nn.Module,
        *,
        cond_dim: int,
        t_init: float,
        device: str,
        ranks: Ranks | None = None,
    ) -> None:
        self.spec, self.t_init, self.device, self.ranks = spec, t_init, device, ranks or Ranks()
        # What is sharded goes to the device block by block: four whole networks may not fit on it.
        whole_on = device if spec.optim.sharding == "none" else "cpu"
        frozen = teacher.to(whole_on).eval().requires_grad_(False)
        torch.manual_seed(spec.seed)
        self._modules = {"teacher": frozen, **{name: _learner(spec, frozen) for name in ("student", "fake")}}
        # Adapters draw numbers of their own; the discriminator starts the same with and without them.
        torch.manual_seed(spec.seed)
        self.discriminator = Discriminator(self.teacher.channels, cond_dim, spec.gan.width).to(device)
        self._modules["discriminator"] = self.discriminator
        # The average is of the float32 parameters, whatever the networks compute in.
        self.averaged = _average(spec, self._modules["student"])
        if spec.optim.gradient_checkpointing:
            for name in ("student", "fake"):
                _checkpoint_gradients(self._modules[name])
        self._whole: nn.Module | None = None
        if spec.optim.sharding == "full":
            self._shard()
        if wanted(spec.optim.compile, device):
            for name in ("teacher", "student", "fake"):
                _compile(self._modules[name])
        self.optimisers = {
            "student": self._optimiser("student", spec.optim.lr, (0.9, 0.99)),
            "fake": self._optimiser("fake", spec.fake.lr, (0.9, 0.99)),
            "discriminator": self._optimiser("discriminator", spec.gan.lr, (0.5, 0.99)),
        }

    @property
    def teacher(self) -> Teacher:
        return cast(Teacher, self._modules["teacher"])

    @property
    def student(self) -> Teacher:
        return cast(Teacher, self._modules["student"])

    @property
    def fake(self) -> Teacher:
        return cast(Teacher, self._modules["fake"])

    @property
    def averaged_student(self) -> Teacher:
        return cast(Teacher, self.averaged.module)

    def whole_student(self) -> Teacher:
        """The averaged student in one piece, for the first process to use; every process must ask."""
        if self.spec.optim.sharding == "none":
            return self.averaged_student
        state = gathered(self.averaged.module.state_dict(), self.ranks)
        if self._whole is None:
            return self.averaged_student
        self._whole.load_state_dict(state)
        return cast(Teacher, self._whole.to(self.device))

    def put_away(self) -> None:
        """Free the device of what `whole_student` put there."""
        if self._whole is not None:
            self._whole.to("cpu")

    def generate(
        self, student: Teacher, noise: Float[Tensor, "b c h w"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        """x_0 of a student in one call."""
        t = self.start_time(len(noise))
        return student.denoise(student.noising.start(noise, t), t, cond)

    def start_time(self, n: int) -> Tensor:
        """`t_init` for each sample."""
        return torch.full((n,), self.t_init, device=self.device)

    def logits(self, maps: list[Tensor], cond: Tensor) -> Float[Tensor, " b"]:
        """The discriminator's logits in the networks' precision, returned as float32."""
        dtype = maps[0].dtype
        with torch.autocast(maps[0].device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
            return cast(Tensor, self.discriminator(maps, cond)).float()

    def feature_teacher(self) -> Teacher:
        """The network whose feature maps the discriminator reads; it learns nothing from the discriminator."""
        return self.fake if self.spec.gan.features == "fake" else self.teacher

    def step(self, name: str, clock: Clock) -> float:
        """Clip the gradients, replace what is not finite by zero, step, clear; returns the norm before clipping.

        Here the gradients become the mean over all processes. The norm is of the gradients as they came, so a
        non-finite one is seen by the monitor.
        """
        with clock.stage("optimiser"):
            parameters = list(trained(self._modules[name]).values())
            gradients = [p.grad for p in parameters if p.grad is not None]
            # A sharded gradient is the mean already, put together in the backward pass.
            self.ranks.mean_gradients([one for one in gradients if not is_sharded(one)])
            norm = whole_of(nn.utils.get_total_norm(gradients))
            if not bool(torch.isfinite(norm)):
                for gradient in gradients:
                    torch.nan_to_num_(local_of(gradient), nan=0.0, posinf=0.0, neginf=0.0)
            clipped = whole_of(nn.utils.get_total_norm(gradients))
            nn.utils.clip_grads_with_norm_(parameters, self.spec.optim.clip_norm, clipped)
            self.optimisers[name].step()
            self.optimisers[name].zero_grad(set_to_none=True)
            put_apart(self._modules[name])
        return norm.item()

    def average(self) -> None:
        """Let the averaged student follow."""
        if self.spec.optim.sharding == "none":
            self.averaged.update_parameters(self._modules["student"])
        else:
            _average_parts(cast(AveragedModel, self.averaged), self._modules["student"], self.spec.optim.ema)

    def set_rate(self, name: str, rate: float) -> None:
        for group in self.optimisers[name].param_groups:
            group["lr"] = rate

    def fresh_optimiser(self, name: str) -> None:
        """Forget the moments of an earlier stage."""
        group = self.optimisers[name].param_groups[0]
        self.optimisers[name] = self._optimiser(name, float(group["lr"]), group["betas"])

    def load_student(self, state: Mapping[str, Tensor]) -> None:
        """Give the student other weights (with adapters: other adapters); its average begins with its first step
        anyhow."""
        self._load("student", state)

    def parameters(self) -> int:
        """Parameters of the student's network, a shared base included."""
        return sum(p.numel() for p in self._modules["student"].parameters())

    def state_dict(self) -> dict[str, object]:
        """Whole tensors, also of sharded networks: at the first process then, and every process must ask."""
        state: dict[str, object] = {
            **{name: self._weights(name) for name in TRAINED},
            "averaged": self.averaged.state_dict(),
            **{f"{name}_optimiser": optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }
        return gathered(state, self.ranks) if self.spec.optim.sharding == "full" else state

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        for name in TRAINED:
            self._load(name, cast(dict[str, Tensor], state[name]))
        self.load_average(cast(dict[str, object], state["averaged"]))
        for name, optimiser in self.optimisers.items():
            moments = cast(dict[str, object], state[f"{name}_optimiser"])
            optimiser.load_state_dict(
                moments if self.spec.optim.sharding == "none" else parts_of_moments(optimiser, moments)
            )

    def average_state(self) -> Mapping[str, object]:
        """The averaged student's part of `state_dict`."""
        state = self.averaged.state_dict()
        return gathered(state, self.ranks) if self.spec.optim.sharding == "full" else state

    def load_average(self, state: Mapping[str, object]) -> None:
        """What `average_state` gave."""
        if self.spec.optim.sharding == "full":
            average = cast(AveragedModel, self.averaged)
            state = parts_of_state(average, cast(Mapping[str, Tensor], state))
        self.averaged.load_state_dict(dict(state))

    def _shard(self) -> None:
        if self.ranks.first:
            # Kept in the computer's memory for evaluations and for the student's folder.
            self._whole = copy.deepcopy(self.averaged.module)
        mesh = mesh_of(self.ranks, self.device)
        for module in (*(self._modules[name] for name in ("teacher", "student", "fake")), self.averaged.module):
            shard(module, mesh)

    def _optimiser(self, name: str, rate: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
        decay = self.spec.optim.weight_decay
        learns = list(trained(self._modules[name]).values())
        return torch.optim.AdamW(learns, lr=rate, betas=betas, weight_decay=decay, fused=True)

    def _adapted(self, name: str) -> bool:
        return self.spec.optim.lora is not None and name != "discriminator"

    def _load(self, name: str, weights: Mapping[str, Tensor]) -> None:
        if self._adapted(name):
            load_trained(self._modules[name], weights)
        elif self.spec.optim.sharding == "full":
            put_apart(self._modules[name])
            self._modules[name].load_state_dict(parts_of_state(self._modules[name], weights))
        else:
            self._modules[name].load_state_dict(weights)

    def _weights(self, name: str) -> dict[str, Tensor]:
        """What a checkpoint keeps of a network: with adapters those alone, for the base is the teacher's folder."""
        module = self._modules[name]
        if not self._adapted(name):
            return module.state_dict()
        return {name: parameter.detach() for name, parameter in trained(module).items()}


def _learner(spec: DistillSpec, teacher: nn.Module) -> nn.Module:
    """A copy of the teacher that learns whole, or one that shares its weights and learns by adapters."""
    lora = spec.optim.lora
    if lora is None:
        return copy.deepcopy(teacher).requires_grad_(True)
    learner = share(teacher)
    adapt(learner, rank=lora.rank, alpha=lora.alpha, targets=lora.targets or TARGETS)
    return learner


def _average(spec: DistillSpec, student: nn.Module) -> AveragedModel | SharedAverage:
    if spec.optim.lora is not None:
        return SharedAverage(student, spec.optim.ema)
    return AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(spec.optim.ema))


@torch.no_grad()
def _average_parts(averaged: AveragedModel, student: nn.Module, decay: float) -> None:
    """As `update_parameters`, on this process's parts."""
    weight = 1.0 if int(averaged.n_averaged) == 0 else 1 - decay
    for mine, other in zip(averaged.module.parameters(), student.parameters(), strict=True):
        local_of(mine).lerp_(local_of(other), weight)
    averaged.n_averaged += 1


def _compile(module: nn.Module) -> None:
    if not isinstance(module, Network) or not compile_blocks(module.core):
        raise SpecError(
            "optim.compile: must find blocks to compile, which this family's network has not. Cure: compile: off."
        )


def _checkpoint_gradients(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, ModelMixin):
            part.enable_gradient_checkpointing()
