"""`qcgen export`: what may go out of a run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import print_result, say
from qcgen.cli.options import DATABASE, Db, Json, Run
from qcgen.core.wording import several


class Only(StrEnum):
    ACCEPTED = "accepted"


def export(
    run: Run,
    to: Annotated[Path, typer.Option("--to", metavar="DIR|ZIP", help="A new folder, or a new file that ends in .zip.")],
    only: Annotated[
        Only | None, typer.Option("--only", help="Leave out what is undecided, rather than refuse because of it.")
    ] = None,
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Deliver a run: its accepted pictures by SKU, with a manifest and sums. Exit 1 while a gate is red.

    Example: qcgen export demo-apparel --to delivery/apparel
    """
    from qcgen.cli.wiring import find_run, opened
    from qcgen.pipeline.deliver import deliver
    from qcgen.report.csvout import csv_bytes

    with opened(db, create=False) as store:
        found = find_run(store, run)
        made = deliver(found, store, to, only_accepted=only is not None, make_csv=csv_bytes, say=say)
    facts = {
        "path": made.path,
        "files": made.files,
        "bytes": made.bytes,
        "left_out": made.left_out,
        "sums_sha256": made.sums_sha256,
    }
    text = f"{several(made.files, 'picture')} delivered, {made.left_out} left out: {made.path}"
    print_result(facts, as_json=json, text=text)
