"""`qcgen doctor`: what this machine has and lacks, each with its cure."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from qcgen.cli.console import plain, print_result
from qcgen.cli.options import DATABASE, Db, Json
from qcgen.core.errors import PrerequisiteError, QcgenError

_LEAST_FREE_GIB = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One fact about the machine; `cure` is set where something is missing."""

    name: str
    found: str
    cure: str | None = None


def doctor(db: Db = DATABASE, json: Json = False) -> None:
    """Look the machine over: Python, torch, SQLite, disk, cores, CUDA, embedded models. Exit 3 if something is missing.

    Example: qcgen doctor
    """
    probes: tuple[Callable[[], Iterator[Check]], ...] = (_python, _torch, lambda: _database(db), _disk, _models)
    checks = [check for probe in probes for check in probe()]
    lines = [f"{'MISSING' if check.cure else 'ok':8}{check.name:10}{check.found}" for check in checks]
    lines += [f"{check.name}: {check.cure}" for check in checks if check.cure]
    healthy = not any(check.cure for check in checks)
    print_result({"ok": healthy, "checks": plain(checks)}, as_json=json, text="\n".join(lines))
    if not healthy:
        raise typer.Exit(PrerequisiteError.exit_code)


def _python() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("python", found, None if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def _torch() -> Iterator[Check]:
    try:
        import open_clip  # noqa: F401 (fails with torch builds that do not match torchvision)
        import torch
        import torchvision
    except (ImportError, RuntimeError, OSError) as error:
        yield Check(
            "torch",
            f"does not import: {error}",
            "install the locked packages: make demo",
        )
        return
    from qcgen.cli.wiring import prepare_torch

    prepare_torch()
    yield Check("torch", f"{torch.__version__} with torchvision {torchvision.__version__}")
    yield Check("threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield Check("cuda", ", ".join(devices) or "none: everything runs on the CPU")


def _database(url: str) -> Iterator[Check]:
    from qcgen.cli.wiring import describe_database

    try:
        yield Check("database", describe_database(url))
    except QcgenError as error:
        yield Check("database", url, str(error))


def _disk() -> Iterator[Check]:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    cure = None if free_gib >= _LEAST_FREE_GIB else f"free at least {_LEAST_FREE_GIB:.0f} GiB; see `qcgen plan`"
    yield Check("disk", f"{free_gib:.1f} GiB free in {Path.cwd()}", cure)


def _models() -> Iterator[Check]:
    from qcgen.models.find import embedded_models, resolve_model

    names = embedded_models()
    if not names:
        yield Check("models", "no embedded model", "install the package again, its assets are missing")
    for name in names:
        ref = resolve_model(f"embedded:{name}")
        yield Check("model", f"{ref.name} {ref.digest[:16]} ({ref.card.kind}, {ref.card.licence or 'no licence'})")
