"""A diffusion network of any family in (alpha, sigma, mu), with feature maps taken by hooks from its own forward."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from qcgen.models.protocol import Noising

Tap = tuple[nn.Module, Callable[[Any], Tensor]]
"""A module, and how a feature map `b c h w` is read from its output."""


class Adapter(Protocol):
    """What a family adds to `Network`: how its network is called and where its feature maps are."""

    def call(self, core: nn.Module, x: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        """The network's output for its own input, its own time and the packed condition."""
        ...

    def channels(self, core: nn.Module) -> list[int]:
        """Channels of each feature map, in the order of `taps`."""
        ...

    def taps(self, core: nn.Module, shape: tuple[int, int]) -> Sequence[Tap]:
        """Where the feature maps are, in the order of the forward pass, for inputs of this height and width."""
        ...


class Network(nn.Module):
    """Follows `models.protocol.Teacher`: teacher, fake score and student are three of these.

    Args:
        core: the network as diffusers defines it.
        dtype: what it computes in (autocast); parameters keep theirs.

    Attributes:
        whole_calls: `features` runs the network to its end, which one that is sharded needs to put itself away.
    """

    def __init__(
        self, core: nn.Module, adapter: Adapter, noising: Noising, *, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.core, self.adapter, self._noising, self.dtype = core, adapter, noising, dtype
        self.whole_calls = False

    @property
    def noising(self) -> Noising:
        return self._noising

    @property
    def channels(self) -> list[int]:
        return self.adapter.channels(self.core)

    def predict(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        scaled, time = self._noising.network_input(x_t, t)
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            output = self.adapter.call(self.core, scaled, time, cond)
        return output.float()

    def denoise(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> Float[Tensor, "b c h w"]:
        return self._noising.x_0(self.predict(x_t, t, cond), x_t, t)

    def features(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> list[Tensor]:
        with self._tapped(x_t, stop=not self.whole_calls) as maps, suppress(_SeenEnough):
            self.predict(x_t, t, cond)
        return maps

    def denoise_with_features(
        self, x_t: Float[Tensor, "b c h w"], t: Shaped[Tensor, " b"], cond: Float[Tensor, "b k d"]
    ) -> tuple[Float[Tensor, "b c h w"], list[Tensor]]:
        with self._tapped(x_t, stop=False) as maps:
            return self.denoise(x_t, t, cond), maps

    @contextmanager
    def _tapped(self, x_t: Tensor, *, stop: bool) -> Iterator[list[Tensor]]:
        maps: list[Tensor] = []
        taps = self.adapter.taps(self.core, (x_t.shape[-2], x_t.shape[-1]))

        def hook(read: Callable[[Any], Tensor], last: bool) -> Callable[[nn.Module, Any, Any], None]:
            def keep(_: nn.Module, __: Any, output: Any) -> None:
                maps.append(read(output))
                if stop and last:
                    raise _SeenEnough

            return keep

        hooks = [
            module.register_forward_hook(hook(read, place == len(taps) - 1))
            for place, (module, read) in enumerate(taps)
        ]
        try:
            yield maps
        finally:
            for one in hooks:
                one.remove()


class _SeenEnough(Exception):  # noqa: N818 (not an error: it ends a forward pass whose rest nobody needs)
    """The feature maps are complete."""


def blocks_of(core: nn.Module) -> list[nn.Module]:
    """The blocks that a UNet or transformer of diffusers is made of, a middle one last; none where it has
    no lists of them."""
    lists = [part for part in core.children() if isinstance(part, nn.ModuleList)]
    middle = getattr(core, "mid_block", None)
    return [*(block for part in lists for block in part), *([middle] if isinstance(middle, nn.Module) else [])]


def unet_channels(unet: nn.Module) -> list[int]:
    """Of `unet_taps`."""
    widths = list(unet.config.block_out_channels)  # type: ignore[union-attr,arg-type]
    return [*widths, widths[-1]]


def unet_taps(unet: Any) -> list[Tap]:
    """The last map of each resolution on the way down and that of the middle block, of diffusers' UNets."""
    layers = unet.config.layers_per_block

    def down(output: tuple[Tensor, tuple[Tensor, ...]]) -> Tensor:
        maps = output[1]
        # A block that ends in a downsampler lists that too; the map before it has the block's own resolution.
        return maps[-2] if isinstance(layers, int) and len(maps) > layers else maps[-1]

    def middle(output: Tensor) -> Tensor:
        return output

    return [*((block, down) for block in unet.down_blocks), (unet.mid_block, middle)]


def pack(hidden: Float[Tensor, "n k d"], pooled: Float[Tensor, "n e"]) -> Float[Tensor, "n m d"]:
    """Token states and a pooled vector as one condition: the pooled vector, padded, is the last rows."""
    width = hidden.shape[-1]
    rows = -(-pooled.shape[1] // width)
    padded = nn.functional.pad(pooled, (0, rows * width - pooled.shape[1]))
    return torch.cat([hidden, padded.reshape(len(pooled), rows, width)], dim=1)


def unpack(cond: Float[Tensor, "n m d"], size: int) -> tuple[Float[Tensor, "n k d"], Float[Tensor, "n e"]]:
    """What `pack` put together; `size` is the pooled vector's."""
    rows = -(-size // cond.shape[-1])
    return cond[:, :-rows], cond[:, -rows:].flatten(1)[:, :size]
