"""`qcgen report`: reports of one run, of a job's nights, of two runs against each other."""

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from qcgen.cli.console import print_result
from qcgen.cli.options import DATABASE, Db, Json
from qcgen.core.errors import SpecError

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
    from qcgen.cli.reporting import write_report_of
    from qcgen.cli.wiring import find_run, newest_run, opened

    chosen = None if formats is None else _read_formats(formats)
    with opened(db, create=False) as store:
        found = newest_run(store) if run is None else find_run(store, run)
        written = write_report_of(store, found, formats=chosen, single=single_file)
    told: dict[str, object] = {"run_id": written.run_id, "report": written.report}
    lines = [str(written.report)]
    if single_file:
        told["single"] = str(Path(lines[0]).with_name("single.html"))
        lines.append(str(told["single"]))
    print_result(told, as_json=json, text="\n".join(lines))


def _read_formats(text: str) -> tuple[str, ...]:
    wanted = tuple(part.strip() for part in text.split(","))
    unknown = [part for part in wanted if part not in _FORMATS]
    if unknown:
        raise SpecError(
            f"--format: must be of {', '.join(_FORMATS)} (got {', '.join(map(repr, unknown))}). Cure: html,csv."
        )
    return wanted
