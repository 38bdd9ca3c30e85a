"""Checkpoints of a distillation: the last ones, each whole, what they were made from, and the best students."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import cast

from qcgen.core.errors import SpecError
from qcgen.models.checkpoint import load_state, read_entry, save_state

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


ENCODER = "eval.clip weights"
"""An input that checkpoints name since it is pinned: an older one says nothing of it, which is no change."""
_OLDER, _NEW = "checkpoint-*.safetensors", "checkpoint-new.safetensors"


class Checkpoints:
    """`checkpoint.safetensors` and, for a roll-back, older ones with their `mark` in the name.

    Args:
        folder: the job's output folder.
        fingerprint: what the training is made from, by name: the job's keys and the digests of its inputs.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, object]) -> None:
        self.folder, self.fingerprint = folder, dict(fingerprint)
        self.last = folder / "checkpoint.safetensors"

    def exists(self) -> bool:
        return bool(self._kept())

    def save(self, state: Mapping[str, object], *, since: int | None = None, also: int | None = None) -> None:
        """Write the state; at every moment one whole checkpoint is on the disk.

        Those of its `mark` and later marks are of a past that was gone back from, and are removed.

        Args:
            since: the newest one before this mark stays, and all after it; by default the one before the state's own.
            also: the newest one before this mark stays too.
        """
        mark = cast(int, state["mark"])
        part = self.folder / _NEW
        save_state(part, {**state, "fingerprint": json.dumps(self.fingerprint, sort_keys=True)})
        kept = self._kept()
        # First of all: were it not, a kill in the middle of the next lines would bring what was left over back.
        self._remove_but({*kept.values(), part})
        if self.last in kept.values() and max(kept) < mark:
            kept[max(kept)] = self.last.replace(self.folder / f"checkpoint-{max(kept)}.safetensors")
        part.replace(self.last)
        older = sorted(one for one in kept if one < mark)
        least = _before(older, mark if since is None else since)
        wanted = {one for one in older if one >= least} | {_before(older, mark if also is None else also)}
        self._remove_but({kept[one] for one in older if one in wanted})

    def load(self, *, before: int | None = None) -> dict[str, object]:
        """The last state, or the newest one before a mark; where there is none, the oldest.

        Raises:
            SpecError: the job or its inputs are not those that the checkpoint was made from; lists every difference.
        """
        kept = self._kept()
        path = kept[max(kept) if before is None else _before(sorted(kept), before)]
        state = cast(dict[str, object], load_state(path))
        self._compare(path, json.loads(cast(str, state["fingerprint"])))
        return state

    def read(self, key: str) -> list[object]:
        """An entry without tensors of each checkpoint, oldest first."""
        return [read_entry(path, key) for _, path in sorted(self._kept().items())]

    def _kept(self) -> dict[int, Path]:
        """By mark. Older files of the last one's mark or later ones were left by a kill in the middle of `save`."""
        older = {cast(int, read_entry(path, "mark")): path for path in self.folder.glob(_OLDER) if path.name != _NEW}
        if not self.last.is_file():
            return older
        last = cast(int, read_entry(self.last, "mark"))
        return {**{mark: path for mark, path in older.items() if mark < last}, last: self.last}

    def _remove_but(self, paths: Collection[Path]) -> None:
        for path in set(self.folder.glob(_OLDER)) - set(paths):
            path.unlink()

    def _compare(self, path: Path, made_from: Mapping[str, object]) -> None:
        now = json.loads(json.dumps(self.fingerprint))
        unknown = {ENCODER} - set(made_from)
        changed = [
            f"{path}: {key} changed since this checkpoint (was {json.dumps(made_from.get(key))}, "
            f"is {json.dumps(now.get(key))}). Cure: change it back, or give another out."
            for key in sorted({*made_from, *now} - unknown)
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


def _before(marks: Sequence[int], mark: int) -> int:
    """The newest of some sorted marks before `mark`; where there is none, the oldest."""
    return max((one for one in marks if one < mark), default=marks[0] if marks else mark)


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
