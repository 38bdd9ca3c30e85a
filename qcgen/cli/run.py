"""`qcgen run`: the night's work."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result, progress_shown, say
from qcgen.cli.options import DATABASE, AllowStale, Db, Device, DeviceOption, Job, Json
from qcgen.core.errors import QcgenError

if TYPE_CHECKING:
    from qcgen.cli.wiring import Prepared
    from qcgen.core.store import Store
    from qcgen.core.types import RunInfo
    from qcgen.pipeline.progress import Progress


class Executor(StrEnum):
    INPROCESS = "inprocess"


def run(
    job: Job,
    db: Db = DATABASE,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Instead of the job's output.dir.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N items.")] = None,
    device: DeviceOption = Device.AUTO,
    executor: Annotated[Executor, typer.Option("--executor", help="How shards are worked.")] = Executor.INPROCESS,
    allow_stale: AllowStale = False,
    json: Json = False,
) -> None:
    """Plan, generate, score, judge, store and report a job. Started again, it resumes. Exit 1 if a gate is red.

    Example: qcgen run jobs/demo.yaml
    """
    from qcgen.cli.summary import read_summary, summary_text
    from qcgen.cli.wiring import opened, prepare

    prepared = prepare(job)
    if prepared.blocked:
        _tell_blocked(prepared, as_json=json)
        raise typer.Exit(QcgenError.exit_code)
    with opened(db) as store:
        finished, made = work(prepared, store, out=out, limit=limit, device=device, allow_stale=allow_stale)
        summary = read_summary(store, finished) | {"generated_now": made}
    text = summary_text(summary)
    if made == 0:
        text = "Nothing to generate: this run was complete already.\n" + text
    print_result(summary, as_json=json, text=text)
    if any(gate.severity == "block" for gate in finished.gates):
        raise typer.Exit(QcgenError.exit_code)


def work(
    prepared: "Prepared",
    store: "Store",
    *,
    out: Path | None,
    limit: int | None,
    device: Device,
    with_report: bool = True,
    allow_stale: bool = False,
) -> tuple["RunInfo", int]:
    """Load the networks and run the job.

    Returns:
        The finished run, and how many pictures this start made.
    """
    from qcgen.cli.evidence import explain_run
    from qcgen.cli.reporting import write_report_of
    from qcgen.cli.wiring import open_encoder, open_policy, pick_device, prepare_torch
    from qcgen.models.embedded import load_student
    from qcgen.pipeline.run import run_job
    from qcgen.qc.inspect import Inspector
    from qcgen.report.parquet import require_parquet

    job, ref = prepared.job, prepared.ref
    if with_report and "parquet" in job.report.formats:
        require_parquet()
    prepare_torch()
    policy = open_policy(job.qc.profile, allow_stale=allow_stale)
    where = pick_device(device)
    encoder = open_encoder(job.qc.clip.model, device=where)
    made = 0

    def explain_and_report(run: "RunInfo") -> Path:
        explain_run(store, run, lambda: Inspector(policy, encoder, prepared.expansion.vocabulary))
        return Path(str(write_report_of(store, run).report))

    with progress_shown(job.name) as show:

        def tell(told: "Progress") -> None:
            nonlocal made
            made = told.generated
            show(told.done, told.planned, generated=told.generated, retried=told.retried, failed=told.failed)

        finished = run_job(
            job,
            prepared.job_path,
            expansion=prepared.expansion,
            store=store,
            student=load_student(ref, device=where, dtype=job.engine.dtype, compile_for=_shape(prepared, where)),
            encoder=encoder,
            policy=policy,
            report=explain_and_report if with_report else None,
            progress=tell,
            say=say,
            out_dir=out,
            limit=limit,
            precise=lambda: load_student(ref, device=where, dtype="float32"),
        )
    return finished, made


def _shape(prepared: "Prepared", device: str) -> int | None:
    """The batch to compile for, if the job compiles here."""
    from qcgen.generate.batch import auto_batch
    from qcgen.models.compiled import wanted

    engine = prepared.job.engine
    if not wanted(engine.compile, device):
        return None
    return engine.batch_size if isinstance(engine.batch_size, int) else auto_batch(prepared.size_px, device)


def _tell_blocked(prepared: "Prepared", *, as_json: bool) -> None:
    lines = [f"{finding.kind}: {finding.message}" for finding in prepared.blocked]
    text = "\n".join(["Stopped before anything was loaded or written.", *lines])
    print_result({"status": "blocked", "findings": plain(prepared.licence)}, as_json=as_json, text=text)
