"""Low-rank adapters over one shared base: several networks that differ by a few numbers and hold the rest once.

Each role has its own module tree, but the trees share their parameters, and an adapter lies around a shared layer. So
nothing is switched on and off between teacher, student and fake score: switching adapters of one tree loses gradients
when the backward pass runs after the switch, and breaks gradient checkpointing, which runs the forward pass again.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qcgen.core.errors import SpecError

M = TypeVar("M", bound=nn.Module)

TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
"""Ends of the names of diffusers' attention projections."""


class LowRank(nn.Module):
    """A frozen Linear or Conv2d plus `scale` times a product of two small ones: W + scale * up down.

    `up` starts at zero, so that the adapted layer starts as the base. Source: Hu et al. 2021, arXiv:2106.09685.

    Args:
        base: the layer; it is referred to, not copied.
        rank: of the product.
        scale: alpha / rank.
    """

    def __init__(self, base: nn.Linear | nn.Conv2d, *, rank: int, scale: float) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        if isinstance(base, nn.Linear):
            self.down: nn.Linear | nn.Conv2d = nn.Linear(base.in_features, rank, bias=False)
            self.up: nn.Linear | nn.Conv2d = nn.Linear(rank, base.out_features, bias=False)
        else:
            # A convolution of the base's reach, then one that only mixes channels.
            self.down = nn.Conv2d(
                base.in_channels,
                rank,
                cast(tuple[int, int], base.kernel_size),
                stride=cast(tuple[int, int], base.stride),
                padding=cast(tuple[int, int], base.padding),
                dilation=cast(tuple[int, int], base.dilation),
                bias=False,
            )
            self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        self.to(base.weight.device, base.weight.dtype)
        nn.init.zeros_(self.up.weight)

    @property
    def weight(self) -> Tensor:
        """The base's: diffusers looks at its dtype."""
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.base(x) + self.scale * self.up(self.down(x)))

    @torch.no_grad()
    def merged_weight(self) -> Float[Tensor, "..."]:
        """W + scale * up down, in float32 at least."""
        product = self.up.weight.flatten(1).float() @ self.down.weight.flatten(1).float()
        return self.base.weight + self.scale * product.reshape(self.base.weight.shape)


def share(network: M) -> M:
    """Another module tree with the very same parameters and buffers."""
    kept: dict[int, object] = {id(one): one for one in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, kept)


def adapt(network: nn.Module, *, rank: int, alpha: float, targets: Sequence[str], where: str = "optim.lora") -> None:
    """Freeze a network and put an adapter around every Linear and Conv2d whose name ends with one of `targets`.

    Args:
        where: the job's key, for messages.

    Raises:
        SpecError: a target that no layer's name ends with.
    """
    network.requires_grad_(False)
    layers = dict(_layers(network))
    missing = [one for one in targets if not any(_ends(name, one) for name in layers)]
    # The defaults name the projections of all families; of those, some must be there.
    if missing and (tuple(targets) != TARGETS or len(missing) == len(targets)):
        ends = sorted({name.rpartition(".")[2] for name in layers if not name.rpartition(".")[2].isdecimal()})
        known = ", ".join(ends) or "none"
        raise SpecError(
            f"{where}.targets: must be ends of layers' names (got {', '.join(missing)}, which no layer ends with). "
            f"Cure: some of {known}."
        )
    for name, layer in layers.items():
        if any(_ends(name, one) for one in targets):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, LowRank(layer, rank=rank, scale=alpha / rank))


def merged(network: M) -> M:
    """A network of its own with every adapter added into its layer; one without adapters is returned as it is."""
    if not any(isinstance(module, LowRank) for module in network.modules()):
        return network
    made = copy.deepcopy(network)
    for name, module in list(made.named_modules()):
        if isinstance(module, LowRank):
            module.base.weight = nn.Parameter(module.merged_weight(), requires_grad=False)
            parent, _, leaf = name.rpartition(".")
            setattr(made.get_submodule(parent), leaf, module.base)
    return made


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def load_trained(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put saved numbers into the parameters that learn.

    Raises:
        KeyError: the names are not the same.
    """
    mine = trained(network)
    if mine.keys() != state.keys():
        raise KeyError(f"adapters differ: {sorted(mine.keys() ^ state.keys())[:4]}")
    with torch.no_grad():
        for name, parameter in mine.items():
            parameter.copy_(state[name])


class SharedAverage:
    """The exponential average of a network's adapters, in a network that shares the base with it.

    As torch's AveragedModel, which would copy the base: the first update copies, each later one moves by 1 - `decay`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        kept = {id(one): one for one in (*network.parameters(), *network.buffers())}
        own = {id(one) for one in trained(network).values()}
        self.module = copy.deepcopy(network, {key: one for key, one in kept.items() if key not in own})

    @torch.no_grad()
    def update_parameters(self, network: nn.Module) -> None:
        """Let the average follow."""
        weight = 1.0 if self.count == 0 else 1 - self.decay
        for mine, other in zip(trained(self.module).values(), trained(network).values(), strict=True):
            mine.lerp_(other, weight)
        self.count += 1

    def state_dict(self) -> dict[str, object]:
        return {"count": self.count, "adapters": {k: v.detach() for k, v in trained(self.module).items()}}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.count = cast(int, state["count"])
        load_trained(self.module, cast(Mapping[str, Tensor], state["adapters"]))


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1):
            yield name, module


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
