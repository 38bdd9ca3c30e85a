"""`qcgen runs`: what the database knows of past and present runs."""

import typer

from qcgen.cli.console import print_result, table
from qcgen.cli.options import DATABASE, Db, Json, Run

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
