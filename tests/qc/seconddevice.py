"""A second device in the memory of the first: what mixes the two fails here as it would with a GPU.

Torch knows it as `meta`, which needs no driver. The arithmetic is the CPU's own, so that results are equal to the bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "meta"
_ATEN = torch.ops.aten
_MOVES = {_ATEN._to_copy.default, _ATEN.copy_.default}
_TAKES_ANY_INDEX = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default}


class Elsewhere(Tensor):
    """A tensor on the second device."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype, device=NAME
        )
        made.here = here
        return cast(Elsewhere, made)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def second_device() -> Iterator[None]:
    """Within, tensors can be made on the device `NAME` and moved there and back."""
    with _Made(), _Dispatch():
        yield


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    tensors = [one for one in tree_leaves((args, dict(kwargs))) if isinstance(one, Tensor)]
    away = [one for one in tensors if isinstance(one, Elsewhere)]
    # As on a GPU: single numbers of the CPU may take part, and so may an index.
    strangers = [one for one in tensors if not isinstance(one, Elsewhere) and one.dim() > 0]
    if away and strangers and func not in _MOVES | _TAKES_ANY_INDEX:
        raise RuntimeError(f"{func}: tensors on two devices")
    asked = kwargs.get("device")
    there = bool(away) if asked is None else torch.device(asked).type == NAME
    placed = {**kwargs, "device": "cpu"} if asked is not None else dict(kwargs)
    found = func(*tree_map(_here, tuple(args)), **tree_map(_here, placed))
    if func._schema.is_mutable:
        return args[0]
    return tree_map(lambda one: Elsewhere(one) if isinstance(one, Tensor) else one, found) if there else found


def _here(value: Any) -> Any:
    return value.here if isinstance(value, Elsewhere) else value


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Made(TorchFunctionMode):
    """Tensors that torch makes from Python's numbers before anything is dispatched."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        known = dict(kwargs or {})
        asked = known.get("device")
        if func in (torch.tensor, torch.as_tensor) and asked is not None and torch.device(asked).type == NAME:
            return Elsewhere(func(*args, **{**known, "device": "cpu"}))
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _as_tensors(args[1]), *args[2:])
        return func(*args, **known)


def _as_tensors(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_as_tensors(one) for one in index)
    return torch.tensor(index) if isinstance(index, list) else index
