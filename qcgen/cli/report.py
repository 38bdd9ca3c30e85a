"""`qcgen report`: write a run's report again from the database."""

from typing import Annotated

import typer

from qcgen.cli.console import print_result
from qcgen.cli.options import DATABASE, Db, Json
from qcgen.core.errors import SpecError

_FORMATS = ("html", "csv")


def report(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run; the newest one if left out.")] = None,
    formats: Annotated[str | None, typer.Option("--format", metavar="html,csv", help="Instead of the job's.")] = None,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Write a run's report from the database and print its path.

    Example: qcgen report demo-apparel --format html,csv
    """
    from qcgen.cli.evidence import complete_evidence
    from qcgen.cli.wiring import find_run, newest_run, opened, write_report_of

    chosen = None if formats is None else _read_formats(formats)
    with opened(db, create=False) as store:
        found = newest_run(store) if run is None else find_run(store, run)
        complete_evidence(store, found)
        written = write_report_of(store, found, formats=chosen)
    print_result({"run_id": written.run_id, "report": written.report}, as_json=json, text=str(written.report))


def _read_formats(text: str) -> tuple[str, ...]:
    wanted = tuple(part.strip() for part in text.split(","))
    unknown = [part for part in wanted if part not in _FORMATS]
    if unknown:
        raise SpecError(
            f"--format: must be of {', '.join(_FORMATS)} (got {', '.join(map(repr, unknown))}). Cure: html,csv."
        )
    return wanted
