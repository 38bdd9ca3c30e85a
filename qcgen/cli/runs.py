"""`qcgen runs`: what the database knows of past and present runs."""

from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import print_result, table
from qcgen.cli.options import DATABASE, Db, Json, Run
from qcgen.core.wording import several

app = typer.Typer(help="Past and present runs.", no_args_is_help=True)


@app.command("list")
def list_runs(db: Db = DATABASE, json: Json = False) -> None:
    """List the runs, newest first.

    Example: qcgen runs list
    """
    from qcgen.cli.wiring import opened

    with opened(db, create=False) as store:
        runs = store.runs()
    rows = [(run.run_id[:12], run.name, run.status, str(run.planned), run.started_at, run.model) for run in runs]
    result = {
        "runs": [
            {"run_id": run.run_id, "name": run.name, "status": run.status, "started_at": run.started_at} for run in runs
        ]
    }
    print_result(result, as_json=json, text=table(("run", "job", "status", "planned", "started", "model"), rows))


@app.command()
def show(run: Run, db: Db = DATABASE, json: Json = False) -> None:
    """Show a run: counts, speed, digests, gates, the report.

    Example: qcgen runs show demo-apparel --json
    """
    from qcgen.cli.summary import read_summary, summary_text
    from qcgen.cli.wiring import find_run, opened

    with opened(db, create=False) as store:
        summary = read_summary(store, find_run(store, run))
    print_result(summary, as_json=json, text=summary_text(summary))


@app.command()
def sample(
    run: Run,
    to: Annotated[Path, typer.Option("--to", metavar="CSV", help="A new file.")] = Path("sample.csv"),
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """List the accepted pictures that people should look at: those that `qcgen review` shows as audits.

    To use a spreadsheet, fill in `decision` (accept or reject), then: qcgen judge RUN --policy P --decisions CSV.

    Example: qcgen runs sample demo-apparel --to sample.csv
    """
    from qcgen.cli.wiring import find_run, opened
    from qcgen.core.errors import SpecError
    from qcgen.core.job import JobSpec
    from qcgen.pipeline.batchgates import sample_of, survey_run
    from qcgen.pipeline.decisions import COLUMNS
    from qcgen.report.csvout import write_csv

    if to.exists():
        raise SpecError(f"--to: must be a new file (got {to}). Cure: another name, so that no decision is lost.")
    with opened(db, create=False) as store:
        found = find_run(store, run)
        job = JobSpec.model_validate_json(found.spec_json)
        drawn = sample_of(found.run_id, survey_run(store, found.run_id), job.qc.gate, job.review)
        ids = [one.image_id for one in drawn]
        wanted = set(ids)
        rows = {row.image_id: row for row in store.rows(found.run_id, every_attempt=True) if row.image_id in wanted}
    listed = [(one, "", "", "audit", rows[one].sku, rows[one].relpath) for one in ids]
    write_csv(to, (*COLUMNS, "sku", "relpath"), listed)
    text = f"{several(len(ids), 'picture')} to look at: {to}"
    print_result({"sample": to, "n": len(ids), "image_ids": ids}, as_json=json, text=text)
