"""run.json: the run in numbers for other programs."""

import math
from dataclasses import asdict

from qcgen.core.types import Finding
from qcgen.report.answer import answer
from qcgen.report.columns import SCHEMA_VERSION
from qcgen.report.intervals import Share
from qcgen.report.runview import RunView


def summarise(view: RunView) -> dict[str, object]:
    """At least the keys of `qcgen runs show --json`; `report` is relative to the file itself."""
    run, counts, told = view.run, view.counts, answer(view)
    return {
        "schema": SCHEMA_VERSION,
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "purpose": run.purpose,
        "answer": told.words,
        "state": told.state,
        "why": list(told.reasons),
        "planned": counts.planned,
        "generated": counts.generated,
        "failed": counts.failed,
        "accepted": counts.accepted,
        "flagged": counts.flagged,
        "rejected": counts.rejected,
        "retried": counts.retried,
        "missing": counts.missing,
        "waiting": counts.waiting,
        "shippable": counts.shippable,
        "attempts": view.attempts,
        "model": run.model,
        "model_digest": run.model_digest,
        "spec_sha256": run.spec_sha256,
        "policy_sha256": run.policy_sha256,
        "job_path": run.job_path,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": run.seconds,
        "images_per_second": counts.generated / run.seconds if run.seconds > 0 else None,
        "seconds_by_stage": dict(run.seconds_by_stage),
        "report": "index.html",
        "pass_rate": _share(view.passed, "clopper-pearson"),
        "miss_rate": {**_share(view.missed, "clopper-pearson"), "upper_95_one_sided": view.missed_upper},
        "gates": [_gate(gate) for gate in run.gates],
        "checks": [_gate(check) for check in view.checks],
        "reasons": [
            {
                "kind": one.kind,
                "rejected": one.rejected,
                "flagged": one.flagged,
                "failed": one.failed,
                "accepted": one.accepted,
            }
            for one in view.reasons
        ],
        "slices": {
            cut.field: [{"value": one.value, **_share(one.passed, "wilson"), "below": one.below} for one in cut.slices]
            for cut in view.slices
        },
        "detectors": {
            shape.detector: {
                "scored": shape.scored,
                "unscored": shape.unscored,
                "p05": shape.p05,
                "median": shape.median,
                "p95": shape.p95,
                "edges": list(shape.edges),
                "counts": [one + other for one, other in zip(shape.accepted, shape.others, strict=True)],
                "told": None if shape.told is None else asdict(shape.told),
                "limits": [
                    {"value": limit.value, "least": limit.least, "images": limit.images} for limit in shape.limits
                ],
            }
            for shape in view.histograms
        },
        "environment": dict(run.environment),
    }


def _gate(gate: Finding) -> dict[str, object]:
    # JSON has no infinity; a gate that divides by nothing must not cost the whole report.
    numbers = {"value": gate.value, "threshold": gate.threshold}
    finite = {name: value if value is not None and math.isfinite(value) else None for name, value in numbers.items()}
    return {**asdict(gate), **finite, "severity": str(gate.severity), "evidence": dict(gate.evidence)}


def _share(share: Share, method: str) -> dict[str, object]:
    return {
        "count": share.count,
        "of": share.of,
        "rate": share.rate,
        "low_95": share.low,
        "high_95": share.high,
        "method": method,
    }
