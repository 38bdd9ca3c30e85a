"""Checkpoints of a distillation: the last two, each whole, what they were made from, and the best students."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import cast

from qcgen.core.errors import SpecError
from qcgen.models.checkpoint import load_state, save_state

FREE_KEYS = frozenset(
    {
        "name",
        "purpose",
        "captions_licence",
        "out",
        "checkpoint_every",
        "threads",
        "optim.sharding",
        "optim.compile",
    }
)
"""Keys of a job that may change between two starts: they do not change what is computed, but for rounding."""


class Checkpoints:
    """`checkpoint.safetensors` and, for a roll-back, the one before it.

    Args:
        folder: the job's output folder.
        fingerprint: what the training is made from, by name: the job's keys and the digests of its inputs.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, object]) -> None:
        self.folder, self.fingerprint = folder, dict(fingerprint)
        self.last, self.previous = folder / "checkpoint.safetensors", folder / "checkpoint-previous.safetensors"

    def exists(self) -> bool:
        return self.last.is_file() or self.previous.is_file()

    def save(self, state: Mapping[str, object], *, rotate: bool = True) -> None:
        """Write the state; at every moment one whole checkpoint is on the disk.

        Args:
            rotate: keep the last one as the one before; a roll-back does not, for the last one may be spoilt.
        """
        part = self.folder / "checkpoint-new.safetensors"
        save_state(part, {**state, "fingerprint": json.dumps(self.fingerprint, sort_keys=True)})
        if rotate and self.last.is_file():
            self.last.replace(self.previous)
        part.replace(self.last)

    def load(self, *, older: bool = False) -> dict[str, object]:
        """The last state, or the one before it where there is one.

        Raises:
            SpecError: the job or its inputs are not those that the checkpoint was made from; lists every difference.
        """
        first, second = (self.previous, self.last) if older else (self.last, self.previous)
        path = first if first.is_file() else second
        state = cast(dict[str, object], load_state(path))
        self._compare(path, json.loads(cast(str, state["fingerprint"])))
        return state

    def _compare(self, path: Path, made_from: Mapping[str, object]) -> None:
        now = json.loads(json.dumps(self.fingerprint))
        changed = [
            f"{path}: {key} changed since this checkpoint (was {json.dumps(made_from.get(key))}, "
            f"is {json.dumps(now.get(key))}). Cure: change it back, or give another out."
            for key in sorted({*made_from, *now})
            if made_from.get(key) != now.get(key)
        ]
        if changed:
            raise SpecError(changed)


class BestStudents:
    """The averaged student of each evaluation that was the best, a file a step.

    A roll-back forgets evaluations, and the best before them counts again: a student stays until no checkpoint's
    history has it as the best.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, step: int, averaged: Mapping[str, object]) -> None:
        save_state(self._path(step), dict(averaged))

    def load(self, step: int) -> dict[str, object] | None:
        """The student of that step, if it was kept."""
        path = self._path(step)
        return cast(dict[str, object], load_state(path)) if path.is_file() else None

    def drop_all_but(self, steps: Collection[int]) -> None:
        for path in set(self._folder.glob("best-*.safetensors")) - {self._path(step) for step in steps}:
            path.unlink()

    def _path(self, step: int) -> Path:
        return self._folder / f"best-{step}.safetensors"


def flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A nested job as dotted keys, without those that may change."""
    found: dict[str, object] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if name in FREE_KEYS:
            continue
        if isinstance(value, Mapping):
            found.update(flat(value, f"{name}."))
        else:
            found[name] = value
    return found
