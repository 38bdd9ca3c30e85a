"""`qcgen judge`: decide again from stored scores."""

from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import print_result
from qcgen.cli.options import DATABASE, AllowStale, Db, Json, Run
from qcgen.core.errors import QcgenError


def judge(
    run: Run,
    policy: Annotated[str, typer.Option("--policy", metavar="P", help="A built-in profile's name, or a file.")],
    fdr: Annotated[
        float | None,
        typer.Option("--fdr", min=0.001, max=0.5, metavar="Q", help="False share of the queue; else the job's."),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions", metavar="CSV", help="For the gates, beside those stored: columns image_id, decision."
        ),
    ] = None,
    allow_stale: AllowStale = False,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Decide a run again by another policy from its stored scores; reads no pixels. Exit 1 if a gate is red.

    Example: qcgen judge demo-apparel --policy apparel
    """
    from qcgen.cli.evidence import complete_evidence
    from qcgen.cli.reporting import write_report_of
    from qcgen.cli.summary import read_summary, summary_text
    from qcgen.cli.wiring import find_run, open_policy, opened, read_decisions
    from qcgen.pipeline.rejudge import rejudge

    loaded = open_policy(policy, key="--policy", allow_stale=allow_stale, with_teacher=False)
    said = None if decisions is None else {one.image_id: one.decision for one in read_decisions(decisions)}
    with opened(db, create=False) as store:
        before = read_summary(store, find_run(store, run))
        decided = rejudge(find_run(store, run), store, loaded, fdr=fdr, decisions=said)
        complete_evidence(store, decided, policy)
        judged = write_report_of(store, decided)
        summary = read_summary(store, judged)
    changes = [f"{name}: {before[name]} -> {summary[name]}" for name in ("accepted", "flagged", "rejected")]
    print_result(summary, as_json=json, text="\n".join([*changes, summary_text(summary)]))
    if any(gate.severity == "block" for gate in judged.gates):
        raise typer.Exit(QcgenError.exit_code)
