"""A run in numbers, as `runs show --json`, the end of `run` and scripts read it."""

from collections.abc import Iterable, Mapping

from qcgen.cli.console import plain
from qcgen.core.batchcaps import describe_caps
from qcgen.core.store import Store
from qcgen.core.types import Row, RunInfo


def read_summary(store: Store, run: RunInfo) -> dict[str, object]:
    """Count a stored run's items."""
    return summarise(run, store.rows(run.run_id))


def summarise(run: RunInfo, rows: Iterable[Row]) -> dict[str, object]:
    """The promised keys of `runs show --json`, and what a person asks next."""
    from qcgen.report.tally import Tally

    tally = Tally()
    for row in rows:
        tally.add(row)
    counts = tally.counts(run.planned)
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "planned": run.planned,
        "generated": counts.generated,
        "failed": counts.failed,
        "accepted": counts.accepted,
        "flagged": counts.flagged,
        "rejected": counts.rejected,
        "retried": counts.retried,
        "purpose": run.purpose,
        "model": run.model,
        "model_digest": run.model_digest,
        "spec_sha256": run.spec_sha256,
        "policy_sha256": run.policy_sha256,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "seconds": run.seconds,
        "images_per_second": round(counts.generated / run.seconds, 2) if run.seconds else 0.0,
        "seconds_by_stage": plain(run.seconds_by_stage),
        "gates": plain(run.gates),
        "environment": plain(run.environment),
        "out_dir": run.out_dir,
        "report": run.report,
    }


def summary_text(summary: Mapping[str, object]) -> str:
    """The summary for people: a few lines, the report's path last."""
    counts = ", ".join(
        f"{summary[name]} {name}" for name in ("planned", "generated", "accepted", "flagged", "rejected", "failed")
    )
    seconds, rate = summary["seconds"], summary["images_per_second"]
    lines = [
        f"{summary['name']} {str(summary['run_id'])[:12]}: {summary['status']}",
        counts,
        f"{seconds:.1f} s, {rate} images/s",
    ]
    gates, environment = summary["gates"], summary["environment"]
    assert isinstance(gates, list)
    assert isinstance(environment, Mapping)
    short = describe_caps(environment)
    lines += [short] if short else []
    lines += [
        f"{'RED' if gate['severity'] == 'block' else gate['severity']} gate {gate['kind']}: {gate['message']}"
        for gate in gates
    ]
    return "\n".join([*lines, f"report: {summary['report'] or 'none yet'}"])
