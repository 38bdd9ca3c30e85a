"""The gates on whole batches, on embeddings of what the embedded student makes: python -m benchmarks batchgates.

The calibration's pictures are halved a hundred times: one half is the reference, and 200 of the other are a batch. A
batch as it is must not alarm. A collapsed one draws from a share of each prompt's pictures, those that lie nearest to
one of them: the student has forgotten the rest.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from qcgen.qc.drift import mmd_p_value, pair, sameness, variety
from qcgen.qc.embeddings import Embeddings, read_embeddings
from qcgen.qc.policy import load_policy
from qcgen.qc.separation import exact_interval

_BATCHES = 100
_PICTURES = 200
_KEPT = (1.0, 0.8, 0.5, 0.2)
_LEVEL = 0.01


def main(results: Path) -> None:
    path = load_policy("apparel").embeddings
    known = None if path is None else read_embeddings([path])
    assert known is not None, "the profile apparel has embeddings"
    found = {f"{kept:.0%} of each prompt's modes": _batches(known, kept) for kept in _KEPT}
    told = {"pictures": len(known.ids), "a batch": _PICTURES, "batches": _BATCHES, "level": _LEVEL, "alarms": found}
    (results / "batchgates.json").write_text(json.dumps(told, indent=1) + "\n")


def _batches(known: Embeddings, kept: float) -> dict[str, object]:
    alarms = [_alarms(known, kept, seed) for seed in range(_BATCHES)]
    return {name: _share([one[name] for one in alarms]) for name in alarms[0]}


def _alarms(known: Embeddings, kept: float, seed: int) -> dict[str, bool]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(known.ids))
    reference, others = (_rows(known, part) for part in np.array_split(order, 2))
    places = _draw(others, kept, rng)
    batch = _rows(others, places)
    # The gate leaves out what the reference has no picture of.
    batch = batch.only(
        [one for one, prompt in zip(batch.ids, batch.prompts, strict=True) if prompt in reference.prompts]
    )
    score, limit = variety(batch.vectors, batch.prompts, reference.vectors, reference.prompts, seed=seed)
    ours, theirs = pair(batch.prompts, reference.prompts, np.random.default_rng(seed))
    p = mmd_p_value(batch.vectors[ours], reference.vectors[theirs], seed=seed)
    alike = sameness(batch.vectors, batch.prompts, reference.vectors, reference.prompts, seed=seed)
    assert alike is not None, "every prompt has more than one picture"
    few, same = score < limit, alike[0] > alike[1]
    return {"collapse": few or same, "over all prompts": few, "within prompts": same, "drift": p <= _LEVEL}


def _draw(there: Embeddings, kept: float, rng: np.random.Generator) -> Sequence[int]:
    """Places of a batch, of every prompt about equally many."""
    if kept == 1:
        return list(range(_PICTURES))
    drawn: list[int] = []
    prompts = np.array(there.prompts)
    names = np.unique(prompts)
    for prompt in names:
        places = np.flatnonzero(prompts == prompt)
        vectors = there.vectors[places]
        nearest = (vectors @ vectors[int(rng.integers(len(places)))]).argsort(descending=True)
        modes = places[nearest[: max(1, round(kept * len(places)))].numpy()]
        drawn += rng.permutation(modes)[: -(-_PICTURES // len(names))].tolist()
    return sorted(rng.permutation(drawn)[:_PICTURES].tolist())


def _rows(one: Embeddings, places: Sequence[int]) -> Embeddings:
    """With ids of their own, since a picture may be drawn twice."""
    return Embeddings(
        tuple(f"{rank}" for rank in range(len(places))),
        tuple(one.prompts[place] for place in places),
        one.vectors[torch.as_tensor(np.asarray(places))],
    )


def _share(alarms: Sequence[bool]) -> dict[str, object]:
    return {"share": sum(alarms) / len(alarms), "interval": list(exact_interval(sum(alarms), len(alarms)))}
