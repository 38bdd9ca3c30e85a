"""`qcgen db`: look after the database."""

from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import plain, print_result
from qcgen.cli.options import DATABASE, Db, Json
from qcgen.core.errors import IntegrityError

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.command()
def upgrade(db: Db = DATABASE, json: Json = False) -> None:
    """Make the tables, or bring those of an older qcgen up to date.

    Example: qcgen db upgrade --db sqlite:///qcgen.db
    """
    from qcgen.store import admin

    revision = admin.upgrade(db)
    print_result({"revision": revision}, as_json=json, text=f"tables are at revision {revision}")


@app.command()
def check(db: Db = DATABASE, json: Json = False) -> None:
    """Check pages, tables, triggers, counts and the audit chain. Exit 4 if anything is wrong.

    Example: qcgen db check
    """
    from qcgen.store import admin

    findings = admin.check(db)
    lines = [f"{finding.kind}: {finding.message}" for finding in findings]
    print_result(
        {"ok": not findings, "findings": plain(findings)},
        as_json=json,
        text="\n".join(lines) or "no fault found",
    )
    if findings:
        raise typer.Exit(IntegrityError.exit_code)


@app.command()
def backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; must not exist.")],
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Copy the database, also while a run writes to it.

    Example: qcgen db backup qcgen-monday.db
    """
    from qcgen.store import admin

    written = admin.backup(db, path)
    print_result({"backup": written}, as_json=json, text=f"backup: {written}")


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A backup; it is checked first.")],
    db: Db = DATABASE,
    json: Json = False,
) -> None:
    """Put a backup back; the present content is kept beside it.

    Example: qcgen db restore qcgen-monday.db
    """
    from qcgen.store import admin

    kept = admin.restore(db, path)
    told = f"restored {path}" + (f"; the former content is in {kept}" if kept else "")
    print_result({"restored": path, "kept": kept}, as_json=json, text=told)
