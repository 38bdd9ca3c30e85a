"""Earlier runs of the same job, with the counts that their own reports kept. A run without a report stays a gap."""

import json
from collections.abc import Sequence
from pathlib import Path

from qcgen.core.types import RunInfo
from qcgen.report.intervals import Share, exact
from qcgen.report.runview import Night

_KEPT = 30


def tell_nights(run: RunInfo, passed: Share, history: Sequence[RunInfo], reports: Path) -> tuple[Night, ...]:
    """The last 30 runs of this job, oldest first, this one at the end; `reports` holds the runs' reports."""
    earlier = {past.run_id: past for past in history if past.name == run.name and past.started_at <= run.started_at}
    earlier.pop(run.run_id, None)
    known = [*sorted(earlier.values(), key=lambda past: (past.started_at, past.run_id)), run][-_KEPT:]
    nights: list[Night] = []
    for before, one in zip([None, *known], known, strict=False):
        share = passed if one is run else _read_share(one, reports)
        nights.append(Night(one.run_id, one.started_at, share, _changes(before, one)))
    return tuple(nights)


def _read_share(run: RunInfo, reports: Path) -> Share | None:
    places = [reports / run.run_id / "run.json"]
    if run.report:
        places.insert(0, Path(run.report).parent / "run.json")
    for place in places:
        try:
            kept = json.loads(place.read_text(encoding="utf-8"))
            if kept["run_id"] == run.run_id:
                return exact(int(kept["accepted"]), int(kept["generated"]) + int(kept["failed"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _changes(before: RunInfo | None, run: RunInfo) -> tuple[str, ...]:
    if before is None:
        return ()
    pairs = (
        ("model", before.model_digest, run.model_digest),
        ("policy", before.policy_sha256, run.policy_sha256),
        ("job", before.spec_sha256, run.spec_sha256),
    )
    return tuple(what for what, old, new in pairs if old != new)
