"""torch.compile for networks. A module's `forward` is replaced, not the module: names in a state dict stay as they are,
and hooks that read feature maps see its outputs as before."""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch._dynamo.config
from torch import Tensor, nn

from qcgen.models.network import blocks_of

Mode = Literal["off", "auto", "on"]
_GRAPHS = 64
"""Graphs of one `forward` before torch gives up and runs it eagerly: blocks of one class share a forward, and each
network, shape and kind of call (with or without gradient) wants its own. Torch's own limit is 8."""


def wanted(mode: Mode, device: str) -> bool:
    """Whether to compile: `on` everywhere, `auto` on CUDA only, where it pays for the minutes that it takes."""
    return mode == "on" or (mode == "auto" and torch.device(device).type == "cuda")


def compile_blocks(core: nn.Module) -> int:
    """Compile every block of a network for each shape that it is called with; returns how many there are.

    Blocks and not the whole: what lies between them is little, the compiler's time is shorter, and sharding and feature
    maps work at their borders.
    """
    blocks = blocks_of(core)
    for block in blocks:
        block.forward = _compile(block.forward)
    return len(blocks)


def compile_call(call: Callable[..., Any], *, batch: int) -> Callable[..., Any]:
    """Compile a call for inputs of `batch` rows. Any other number runs eagerly: a run's last rows and second tries are
    not worth a graph of their own, and which way they go does not depend on what came before.

    Args:
        call: the first tensor among its arguments has a row for each picture.
    """
    compiled = _compile(call)

    def choose(*given: Any, **named: Any) -> Any:
        rows = next(one for one in (*given, *named.values()) if isinstance(one, Tensor))
        return (compiled if len(rows) == batch else call)(*given, **named)

    return choose


def compile_decoder(vae: Any, *, batch: int) -> None:
    """The same for the decoder of an autoencoder of diffusers or of ours."""
    if isinstance(getattr(vae, "decoder", None), nn.Module):
        vae.decoder.forward = compile_call(vae.decoder.forward, batch=batch)
    else:
        vae.decode = compile_call(vae.decode, batch=batch)


def _compile(call: Callable[..., Any]) -> Callable[..., Any]:
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _GRAPHS)
    # What a machine's compiler cannot do runs as it is, and torch's log says so: a night's run must not end by that.
    torch._dynamo.config.suppress_errors = True
    # With shapes as constants: a second one would make them variables, and slower kernels for both.
    return torch.compile(call, dynamic=False)
