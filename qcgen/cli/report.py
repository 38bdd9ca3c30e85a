"""`qcgen report`: reports of one run, of a job's nights, of two runs against each other."""

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from qcgen.cli.console import print_result
from qcgen.cli.options import DATABASE, Db, Json
from qcgen.core.errors import SpecError
from qcgen.core.wording import cure_of, several, show

_FORMATS = ("html", "csv", "parquet")


class ReportGroup(TyperGroup):
    """A group whose first word may be left out: `qcgen report RUN` is `qcgen report write RUN`."""

    default = "write"

    def complete(self, arguments: list[str]) -> list[str]:
        """The arguments with the first word that was meant."""
        named = arguments and (arguments[0] in self.commands or arguments[0] == "--help")
        return arguments if named else [self.default, *arguments]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        return super().parse_args(ctx, self.complete(args))


app = typer.Typer(
    cls=ReportGroup,
    help="Write reports: `qcgen report [RUN]` of one run (short for `qcgen report write [RUN]`), `trend` of a job's "
    "nights, `compare` of two runs.",
)


@app.command()
def write(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run; the newest one if left out.")] = None,
    formats: Annotated[
        str | None, typer.Option("--format", metavar="html,csv,parquet", help="Instead of the job's.")
    ] = None,
    single_file: Annotated[
        bool, typer.Option("--single-file", help="Also single.html: one file of at most 3 MB to send by mail.")
    ] = False,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Write a run's report from the database and print its path.

    Example: qcgen report write demo-apparel --format csv,parquet
    """
    from qcgen.cli.evidence import complete_evidence
    from qcgen.cli.reporting import write_report_of
    from qcgen.cli.wiring import find_run, newest_run, opened

    chosen = None if formats is None else _read_formats(formats)
    with opened(db, create=False) as store:
        found = newest_run(store) if run is None else find_run(store, run)
        complete_evidence(store, found)
        written = write_report_of(store, found, formats=chosen, single=single_file)
    told: dict[str, object] = {"run_id": written.run_id, "report": written.report}
    lines = [str(written.report)]
    if single_file:
        told["single"] = str(Path(lines[0]).with_name("single.html"))
        lines.append(str(told["single"]))
    print_result(told, as_json=json, text="\n".join(lines))


@app.command()
def trend(
    job: Annotated[str | None, typer.Option("--job", metavar="NAME", help="The newest run's job if left out.")] = None,
    last: Annotated[int | None, typer.Option("--last", min=2, help="Draw only so many nights.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="By default reports/trend-NAME.")] = None,
    rebaseline: Annotated[
        str | None, typer.Option("--rebaseline", metavar="RUN", help="Approve: learn the limits anew from this run on.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit chain.")
    ] = None,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Write a job's nights as control charts and print the page's path.

    Example: qcgen report trend --job nightly-apparel --last 60
    """
    from qcgen.cli.reporting import approve_baseline, trend_of
    from qcgen.cli.wiring import REPORTS, opened
    from qcgen.report.trend import alarms, write_trend

    if (rebaseline is None) != (reason is None):
        raise SpecError("--rebaseline: needs --reason TEXT beside it, and the other way round. Cure: give both.")
    with opened(db, create=False) as store:
        if rebaseline is not None and reason is not None:
            job = approve_baseline(store, rebaseline, reason, job)
        seen = trend_of(store, job, last=last)
    page = write_trend(seen, out or REPORTS / f"trend-{seen.job}")
    found = alarms(seen)
    text = f"{several(len(found), 'alarm')}; the trend of {seen.job}: {page}"
    print_result({"job": seen.job, "report": page, "alarms": found}, as_json=json, text=text)


@app.command()
def compare(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The run to compare with.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The run that may be better or worse.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="By default in reports.")] = None,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Compare two runs pair by pair and print the page's path.

    Example: qcgen report compare 0198c0de 0198d1ef --out reports/new-student
    """
    from qcgen.cli.reporting import compare_runs
    from qcgen.cli.wiring import opened

    with opened(db, create=False) as store:
        found, page = compare_runs(store, reference, new, out)
    told = {
        "reference": found.one.run_id,
        "new": found.other.run_id,
        "pairs": found.pairs,
        "paired_by": found.how,
        "change": found.first.change,
        "p": found.first.p,
        "report": page,
    }
    change = f"acceptance {100 * found.first.change:+.1f} points (p {found.first.p:.3f})"
    text = f"{several(found.pairs, 'pair')}, {change}: {page}"
    print_result(told, as_json=json, text=text)


def _read_formats(text: str) -> tuple[str, ...]:
    wanted = tuple(part.strip() for part in text.split(","))
    unknown = [part for part in wanted if part not in _FORMATS]
    if unknown:
        raise SpecError([f"--format: no such format (got {show(one)}). {cure_of(one, _FORMATS)}" for one in unknown])
    return wanted
