"""The one place that names concrete classes: turns names into a store, networks, a policy, a report writer."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qcgen.cli.options import Device
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.expand import Expansion
from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Finding, ModelRef, RunInfo, Severity
from qcgen.core.wording import cure_of, show

if TYPE_CHECKING:
    from qcgen.models.encoder import OpenClipEncoder
    from qcgen.pipeline.decisions import Decision
    from qcgen.qc.policy import Policy

REPORTS = Path("reports")
"""In the folder where qcgen is started."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job with all that is known before any weight is loaded; `licence` holds what the rules say."""

    job: JobSpec
    job_path: Path
    ref: ModelRef
    size_px: int
    expansion: Expansion
    licence: tuple[Finding, ...]

    @property
    def blocked(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.licence if finding.severity is Severity.BLOCK)


def prepare(job_path: Path) -> Prepared:
    """Read a job, find its model, expand its items, ask the rules.

    Raises:
        SpecError: with every mistake.
        PrerequisiteError: the model's folder is missing.
    """
    from qcgen.cli.console import warn
    from qcgen.cli.jobfile import read_job
    from qcgen.core.expand import expand
    from qcgen.govern.licence import check_licences
    from qcgen.govern.protocol import Work
    from qcgen.models.find import picture_px, resolve_model

    job = read_job(job_path)
    if job.governance.c2pa != "none":
        warn(["governance.c2pa: qcgen cannot sign files yet; this run's files carry no signature. Cure: c2pa: none."])
    ref = resolve_model(job.model)
    size_px = picture_px(ref)
    expansion = expand(job, job_path, model_digest=ref.digest, size_px=size_px)
    return Prepared(job, job_path, ref, size_px, expansion, tuple(check_licences(Work.of_job(job), ref.card)))


@contextmanager
def opened(url: str, *, create: bool = True) -> Iterator[Store]:
    """The database, made or upgraded if it must be."""
    from qcgen.store.sql import open_store

    store = open_store(url, create=create)
    try:
        yield store
    finally:
        store.close()


def find_run(store: Store, name: str, *, key: str = "RUN") -> RunInfo:
    """A run by id, by the start of one, or the newest of a job.

    Args:
        key: the argument or option that names it, for messages.

    Raises:
        SpecError: there is none; names the one that was probably meant, or the newest that exist.
    """
    run = store.find_run(name)
    if run is None:
        cure = cure_of(name, job_names(store), beside=", or see `qcgen runs list`")
        raise SpecError(f"{key}: no run {show(name)} in the database. {cure}")
    return run


def job_names(store: Store) -> list[str]:
    """Names of the jobs that have run, that of the newest run first."""
    return list(dict.fromkeys(one.name for one in store.runs()))


def newest_run(store: Store) -> RunInfo:
    """Raises SpecError if the database has none."""
    runs = store.runs()
    if not runs:
        raise SpecError("RUN: the database has no run yet. Cure: qcgen run JOB.yaml")
    return runs[0]


def open_policy(
    profile: str, *, key: str = "qc.profile", allow_stale: bool = False, with_teacher: bool = True
) -> "Policy":
    """The policy of a profile; what its gates do not live up to is told on stderr.

    Args:
        key: the job's key or the option that names the profile, for messages.
    """
    from qcgen.cli.console import warn
    from qcgen.qc.policy import load_policy
    from qcgen.qc.profile import find_profile

    find_profile(profile, key=key)
    policy = load_policy(profile, allow_stale=allow_stale, with_teacher=with_teacher)
    warn([f"profile {policy.name}: {message}" for message in policy.warnings])
    return policy


def open_encoder(clip: str, *, device: str) -> "OpenClipEncoder":
    """The CLIP of a name or folder; what a person should know of how it was read is told on stderr."""
    from qcgen.cli.console import warn
    from qcgen.models.embedded import load_encoder

    encoder = load_encoder(clip, device=device)
    warn(encoder.notes)
    return encoder


def read_columns(path: Path) -> Mapping[str, Sequence[str]]:
    """A table of texts, column by column.

    Raises:
        SpecError: it cannot be read, or its header is wrong.
    """
    from qcgen.core.tables import read_table
    from qcgen.core.wording import Problems

    problems = Problems()
    table = read_table(path, problems)
    problems.stop_if_any()
    assert table is not None
    return table.columns


def read_decisions(path: Path) -> "list[Decision]":
    """What people decided, from a table; SpecError with every mistake."""
    from qcgen.pipeline.decisions import parse_decisions

    return parse_decisions(path.name, read_columns(path))


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/qcgen`, by default `~/.cache/qcgen`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qcgen"


def prepare_torch() -> None:
    """Use the cores that this process may use; an OMP_NUM_THREADS that is set wins."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def refuse_several(command: str) -> None:
    """Raises SpecError where torchrun started this command several times: each would write over the others' files."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        raise SpecError(f"torchrun: {command} works in one process (got {count}). Cure: start it without torchrun.")


def pick_device(choice: Device) -> str:
    """The device that `--device` means on this machine.

    Raises:
        PrerequisiteError: CUDA was asked for and is not there.
    """
    import torch

    available = torch.cuda.is_available()
    if choice is Device.CUDA and not available:
        raise PrerequisiteError("--device cuda: torch sees no CUDA device. Cure: check the driver, or --device cpu.")
    return "cuda" if available and choice is not Device.CPU else "cpu"


def describe_database(url: str) -> str:
    """What kind of database a URL names and by which rules it would be written."""
    from qcgen.store.engine import open_database
    from qcgen.store.sqlite import choose_journal, choose_module, file_system_of

    database = open_database(url)
    database.engine.dispose()
    if database.file is None:
        return database.where
    module = choose_module()
    mounts = Path("/proc/mounts")
    kind = file_system_of(database.file, mounts.read_text()) if mounts.is_file() else None
    journal = choose_journal(module.sqlite_version_info, kind)
    return f"{database.where}: SQLite {module.sqlite_version}, journal {journal} on {kind or 'an unknown file system'}"
