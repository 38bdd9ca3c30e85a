"""Networks whose parameters lie in parts at the processes of a training (FSDP2); on the disk they are whole."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from qcgen.core.errors import SpecError
from qcgen.distill.ranks import Ranks
from qcgen.models.network import Network, blocks_of

S = TypeVar("S")


def mesh_of(ranks: Ranks, device: str) -> DeviceMesh:
    """All processes in one row."""
    return init_device_mesh(torch.device(device).type, (ranks.world,))


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Give each process a part of every parameter; a block's are whole only while it computes.

    On CUDA a network may come from the CPU's memory: one block after the other goes to the device.

    Raises:
        SpecError: the family's network cannot be taken apart.
    """
    if not isinstance(network, Network) or not blocks_of(network.core):
        raise SpecError(
            "optim.sharding: full needs a network of blocks, which this family's is not. Cure: sharding: none."
        )
    for block in blocks_of(network.core):
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    # The little that lies between the blocks stays whole after a call: a gradient that begins at feature maps passes it
    # without coming from the network's output, which would put it together again.
    fully_shard(network.core, mesh=mesh, reshard_after_forward=False)
    network.whole_calls = True


def put_apart(network: nn.Module) -> None:
    """Forget what is whole still, for its numbers have changed."""
    for part in network.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def is_sharded(tensor: Tensor) -> bool:
    return isinstance(tensor, DTensor)


def local_of(tensor: Tensor) -> Tensor:
    """This process's part, in the same memory; any other tensor as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole_of(tensor: Tensor) -> Tensor:
    """All parts together; every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(state: S, ranks: Ranks) -> S:
    """A nested state with every sharded tensor whole in the first process's memory (not its GPU's), and empty at the
    others; they must all ask. Names and order stay, so nothing on the disk tells that it was sharded."""
    return cast(S, _gathered(state, ranks))


def _gathered(node: object, ranks: Ranks) -> object:
    if isinstance(node, DTensor):
        whole = node.full_tensor()
        return whole.cpu() if ranks.first else torch.empty(0)
    if isinstance(node, Mapping):
        return {key: _gathered(value, ranks) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_gathered(value, ranks) for value in node]
    return node


def parts_of_state(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole weights as `network.load_state_dict` wants them, of which each process keeps its part."""
    mine = network.state_dict()
    return {name: _like(mine[name], value) if name in mine else value for name, value in state.items()}


def parts_of_moments(optimiser: torch.optim.Optimizer, state: Mapping[str, object]) -> dict[str, object]:
    """The same for an optimiser's state: moments are cut as their parameters are."""
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    moments = cast(dict[int, dict[str, Any]], state["state"])
    cut = {
        place: {
            name: _like(parameters[place], value) if value.shape == parameters[place].shape else value
            for name, value in one.items()
        }
        for place, one in moments.items()
    }
    return {**state, "state": cut}


def _like(target: Tensor, value: Tensor) -> Tensor:
    if not isinstance(target, DTensor):
        return value
    # Every process has read the whole: nothing needs to be sent.
    return distribute_tensor(value.to(target.device), target.device_mesh, target.placements, src_data_rank=None)
