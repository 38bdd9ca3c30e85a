"""`qcgen reviews`: what people decided, and the queue as a table for those who prefer a spreadsheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result
from qcgen.cli.options import DATABASE, Db, Json, Run
from qcgen.core.errors import SpecError
from qcgen.core.wording import several

if TYPE_CHECKING:
    from qcgen.core.reviewstats import Agreement, ReviewStats, Share

app = typer.Typer(help="Decisions: statistics, export, import.", no_args_is_help=True)


@app.command("export")
def export_tasks(
    run: Run,
    to: Annotated[Path, typer.Option("--to", metavar="CSV", help="A new file.")],
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """List the pictures that wait for a decision; fill in `decision` (accept, reject, regenerate) and `code`.

    Example: qcgen reviews export demo-apparel --to queue.csv
    """
    from qcgen.cli.wiring import find_run, opened
    from qcgen.pipeline.sheet import COLUMNS, open_rows
    from qcgen.report.csvout import write_csv

    if to.exists():
        raise SpecError(f"--to: must be a new file (got {to}). Cure: another name, so that no decision is lost.")
    with opened(db, create=False) as store:
        rows = open_rows(store.review, find_run(store, run).run_id)
    write_csv(to, COLUMNS, rows)
    waiting = several(len(rows), "picture waits", "pictures wait")
    print_result({"path": to, "tasks": len(rows)}, as_json=json, text=f"{waiting} for a decision: {to}")


@app.command("import")
def import_decisions(
    run: Run,
    csv: Annotated[Path, typer.Argument(metavar="CSV", help="A table of `qcgen reviews export` or `runs sample`.")],
    reviewer: Annotated[str, typer.Option("--as", metavar="NAME", help="Who decided.")],
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Store a filled-in table as one person's decisions, all or none; they count as made offline and not blind.

    Example: qcgen reviews import demo-apparel queue.csv --as ada
    """
    from qcgen.cli.wiring import find_run, opened, read_columns
    from qcgen.core.review import check_name
    from qcgen.pipeline.sheet import import_rows

    check_name(reviewer)
    columns = read_columns(csv)
    with opened(db, create=False) as store:
        found = find_run(store, run)
        stored = import_rows(store.review, found.run_id, csv.name, columns, reviewer=reviewer)
    text = f"{several(len(stored), 'decision')} of {reviewer} stored"
    print_result({"decisions": len(stored), "reviewer": reviewer}, as_json=json, text=text)


@app.command()
def stats(run: Run, db: Db = DATABASE, json: Json = False) -> None:
    """What escapes, whether people agree, whether they see planted defects.

    Example: qcgen reviews stats demo-apparel --json
    """
    from qcgen.cli.wiring import find_run, opened
    from qcgen.core.reviewstats import review_stats

    with opened(db, create=False) as store:
        found = find_run(store, run)
        told = review_stats(store.review, found.run_id)
    result = plain(told)
    assert isinstance(result, dict)
    print_result({"run_id": found.run_id, **result}, as_json=json, text=_text(told))


def _text(told: "ReviewStats") -> str:
    lines = [f"missed among passed: {_share(told.missed)}"]
    if told.audits_open:
        lines.append(f"  {several(told.audits_open, 'audit waits', 'audits wait')}")
    if told.strata_unseen:
        lines.append(f"  nobody has looked at: {', '.join(one or 'no product' for one in told.strata_unseen)}")
    lines.append(f"planted defects seen: {_share(told.seeds)}, {told.right_code} with the expected code")
    lines.append(f"second looks: {_agreement(told.agreement)}")
    if told.total is not None:
        total = told.total
        lines.append(
            f"defects in all (Chapman): {total.estimate:.0f} ({total.low:.0f} to {total.high:.0f}), {total.found} found"
        )
    for one in told.people:
        time = "" if one.dwell_ms is None else f", {one.dwell_ms / 1000:.1f} s a picture"
        lines.append(f"{one.reviewer}: {one.answers} decided, {one.refused} refused, {one.skipped} skipped{time}")
    waiting = ", ".join(f"{count} {kind}" for kind, count in told.open_tasks.items()) or "nothing"
    return "\n".join([*lines, f"waiting: {waiting}"])


def _share(one: "Share") -> str:
    if one.rate is None:
        return "unknown, none looked at"
    return f"{one.rate:.1%} of n {one.n}, with 95 % confidence {one.low:.1%} to {one.high:.1%}, at most {one.upper:.1%}"


def _agreement(one: "Agreement") -> str:
    if one.raw is None or one.ac1 is None or one.prevalence is None:
        return "none"
    kappa = "undefined" if one.kappa is None else f"{one.kappa:.2f}"
    return f"agree on {one.raw:.1%} of n {one.n}, kappa {kappa}, AC1 {one.ac1:.2f}, {one.prevalence:.1%} bad"
