"""Checkpoints as safetensors: nested state (tensors, numbers, lists, dicts) in one file, written atomically, never
pickled."""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

State = object


def save_state(path: Path, state: State) -> None:
    """Write a nested state; the old file stays whole until the new one is complete."""
    tensors: dict[str, torch.Tensor] = {}
    outline = _strip(state, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    save_file(tensors, part, metadata={"state": json.dumps(outline)})
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(path)


def load_state(path: Path) -> State:
    """Read what `save_state` wrote."""
    with safe_open(path, framework="pt") as file:
        outline = json.loads(file.metadata()["state"])
        return _fill(outline, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)


def read_entry(path: Path, key: str) -> State:
    """One entry of the outermost dict, without reading any tensor; it must hold none."""
    with safe_open(path, framework="pt") as file:
        return _fill(dict(json.loads(file.metadata()["state"])["$items"])[key], {})


def _strip(node: State, tensors: dict[str, torch.Tensor]) -> State:
    if isinstance(node, torch.Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = node.detach().cpu().contiguous().clone()
        return {"$tensor": name}
    if isinstance(node, dict):
        return {"$items": [[key, _strip(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return [_strip(value, tensors) for value in node]
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(f"a checkpoint cannot hold {type(node).__name__}")


def _fill(node: State, tensors: dict[str, torch.Tensor]) -> State:
    if isinstance(node, dict):
        if "$tensor" in node:
            return tensors[node["$tensor"]]
        return {key: _fill(value, tensors) for key, value in node["$items"]}
    if isinstance(node, list):
        return [_fill(value, tensors) for value in node]
    return node
