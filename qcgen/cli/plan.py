"""`qcgen plan`: what a job would do, before it does anything."""

import errno
import math
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import plain, print_result
from qcgen.cli.options import DATABASE, Db, Device, DeviceOption, Job, Json
from qcgen.core.errors import QcgenError, SpecError
from qcgen.core.wording import several

if TYPE_CHECKING:
    from qcgen.cli.wiring import Prepared
    from qcgen.pipeline.plan import Plan

_TRIAL_ITEMS = 16


def plan(
    job: Job,
    calibrate: Annotated[
        str | None, typer.Option("--calibrate", metavar="SECONDS", help="Measure the speed first, such as 60s.")
    ] = None,
    db: Db = DATABASE,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Say what a job would make, how large, how long, and what stands against it. Without --calibrate no weights load.

    Example: qcgen plan jobs/demo.yaml
    """
    from qcgen.cli.wiring import prepare
    from qcgen.pipeline.plan import make_plan

    seconds = None if calibrate is None else _read_seconds(calibrate)
    prepared = prepare(job)
    place = _writable(prepared.job.output.dir)
    measured = None if seconds is None or prepared.blocked else _measure(prepared, device, seconds=seconds)
    planned = make_plan(
        prepared.job,
        prepared.expansion,
        prepared.licence,
        free_bytes=shutil.disk_usage(place).free,
        images_per_second=measured or _remembered_rate(prepared, db),
    )
    facts = plain(planned)
    assert isinstance(facts, dict)
    print_result(facts, as_json=json, text=_describe(planned))
    if planned.blocked or not planned.disk_ok:
        raise typer.Exit(QcgenError.exit_code)


def _read_seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s?", text)
    if match is None or float(match[1]) <= 0:
        raise SpecError(f"--calibrate: must be a number of seconds (got {text!r}). Cure: 60s.")
    return float(match[1])


def _writable(folder: Path) -> Path:
    """The nearest folder that exists, in which a run would make its own.

    Raises:
        SpecError: nothing can be made there.
    """
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return there
    why = "it cannot be written" if there.is_dir() else os.strerror(errno.ENOTDIR)
    raise SpecError(f"output.dir: {folder.absolute()} cannot be made in {there} ({why}). Cure: another folder.")


def _remembered_rate(prepared: "Prepared", db: str) -> float | None:
    """Images per second of the newest complete run of this model in the database, if there is one."""
    from qcgen.cli.wiring import opened

    try:
        with opened(db, create=False) as store:
            runs = store.runs()
    except QcgenError:
        return None  # no database yet: nothing to remember
    for run in runs:
        if run.status == "complete" and run.model_digest == prepared.ref.digest and run.seconds > 0:
            return run.planned / run.seconds
    return None


def _measure(prepared: "Prepared", device: Device, *, seconds: float) -> float:
    """Items per second, all stages, in a folder and a database that are thrown away: a trial, then a long one."""
    from qcgen.cli.run import work
    from qcgen.cli.wiring import opened

    rate, limit = 0.0, _TRIAL_ITEMS
    for _ in ("to know how many fit", "to measure them"):
        with tempfile.TemporaryDirectory(prefix="qcgen-plan-") as folder, opened("sqlite://") as store:
            run, _ = work(prepared, store, out=Path(folder), limit=limit, device=device, with_report=False)
        rate = run.planned / run.seconds
        limit = max(_TRIAL_ITEMS, int(rate * seconds))
    return rate


def _describe(planned: "Plan") -> str:
    skipped = f", {several(planned.skipped_rows, 'repeated row')} skipped" if planned.skipped_rows else ""
    hours = "unknown until a run or --calibrate 60s" if planned.hours is None else _duration(planned.hours)
    enough = "enough" if planned.disk_ok else "NOT ENOUGH"
    lines = [
        f"{planned.name}: {several(planned.items, 'image')} of {planned.size_px} px by {planned.model}, "
        f"{planned.purpose}",
        f"{several(planned.rows, 'row')}, {several(planned.images_per_item, 'image')} each{skipped}; "
        f"{several(planned.unique_prompts, 'prompt')}",
        f"{several(planned.shards, 'shard')} of {planned.shard_size}",
        f"disk: {_size(planned.bytes_needed)} with margin, {_size(planned.free_bytes)} free: {enough}",
        f"time: {hours}",
        *(f"{item.sku}: {item.prompt} (seed {item.seed})" for item in planned.first_items),
        *(f"{finding.severity} {finding.kind}: {finding.message}" for finding in planned.findings),
        "licence gate: " + ("BLOCKED" if planned.blocked else "open"),
    ]
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{math.ceil(hours * 3600)} s"
