"""Earlier runs of the same job, with the counts that their own reports kept. A run without a report stays a gap."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from qcgen.core.types import RunInfo
from qcgen.report.intervals import Share, exact
from qcgen.report.runview import Ghost, Night

_KEPT = 30
_RECORDED = (("scorer", "encoder_digest"), ("catalogue", "items_digest"))


def tell_nights(run: RunInfo, passed: Share, history: Sequence[RunInfo], reports: Path) -> tuple[Night, ...]:
    """The last 30 runs of this job, oldest first, this one at the end; `reports` holds the runs' reports."""
    earlier = {past.run_id: past for past in history if past.name == run.name and past.started_at <= run.started_at}
    earlier.pop(run.run_id, None)
    known = [*sorted(earlier.values(), key=lambda past: (past.started_at, past.run_id)), run][-_KEPT:]
    nights: list[Night] = []
    for before, one in zip([None, *known], known, strict=False):
        share = passed if one is run else _read_share(one, reports)
        nights.append(Night(one.run_id, one.started_at, share, changes(before, one)))
    return tuple(nights)


def find_ghosts(run: RunInfo, history: Sequence[RunInfo], reports: Path) -> dict[str, Ghost]:
    """Histograms of the newest earlier run of this job whose report is there, by detector."""
    earlier = [past for past in history if past.name == run.name and past.started_at < run.started_at]
    for past in sorted(earlier, key=lambda past: (past.started_at, past.run_id), reverse=True):
        kept = read_summary(past, reports)
        shapes = kept.get("detectors") if kept is not None else None
        if isinstance(shapes, dict):
            return {name: ghost for name, shape in shapes.items() if (ghost := _ghost(shape)) is not None}
    return {}


def read_summary(run: RunInfo, reports: Path) -> dict[str, object] | None:
    """The `run.json` of a run's report, None where it is gone or another run's."""
    places = [reports / run.run_id / "run.json"]
    if run.report:
        places.insert(0, Path(run.report).parent / "run.json")
    for place in places:
        try:
            kept = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(kept, dict) and kept.get("run_id") == run.run_id:
            return kept
    return None


def _ghost(shape: object) -> Ghost | None:
    try:
        edges = tuple(float(edge) for edge in shape["edges"])  # type: ignore[index]
        counts = tuple(int(count) for count in shape["counts"])  # type: ignore[index]
    except (ValueError, KeyError, TypeError):
        return None
    rising: bool = len(edges) == len(counts) + 1 and all(a < b for a, b in pairwise(edges))
    return Ghost(edges, counts) if rising and any(counts) else None


def _read_share(run: RunInfo, reports: Path) -> Share | None:
    kept = read_summary(run, reports)
    try:
        return None if kept is None else exact(*_finished(kept))
    except (ValueError, KeyError, TypeError):
        return None


def _finished(kept: dict[str, object]) -> tuple[int, int]:
    accepted, generated, failed = (int(str(kept[name])) for name in ("accepted", "generated", "failed"))
    return accepted, generated + failed


def changes(before: RunInfo | None, run: RunInfo) -> tuple[str, ...]:
    """What is not as it was in the run before, by digests; what either did not record is left out."""
    if before is None:
        return ()
    told = [
        ("model", before.model_digest, run.model_digest),
        ("policy", before.policy_sha256, run.policy_sha256),
        ("job", before.spec_sha256, run.spec_sha256),
    ]
    for what, key in _RECORDED:
        old, new = before.environment.get(key), run.environment.get(key)
        told += [(what, old, new)] if old is not None and new is not None else []
    return tuple(what for what, old, new in told if old != new)
