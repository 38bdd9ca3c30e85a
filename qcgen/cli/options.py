"""Options that several commands share, spelled and explained once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DATABASE = "sqlite:///qcgen.db"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Job = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.", show_default=False)]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its start, or a job's name.")]
Db = Annotated[str, typer.Option("--db", metavar="URL", help="The database.", envvar="QCGEN_DB")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; logs go to stderr.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where networks run; auto prefers CUDA.")]
Profile = Annotated[str, typer.Option("--profile", metavar="P", help="A built-in profile's name, or a file.")]
Clip = Annotated[
    str,
    typer.Option("--clip", metavar="MODEL", help="embedded:NAME, an open_clip folder, or open_clip:ARCH[/TAG]:FILE."),
]
AllowStale = Annotated[
    bool, typer.Option("--allow-stale", help="Judge by a calibration that does not fit, and mark every verdict.")
]
