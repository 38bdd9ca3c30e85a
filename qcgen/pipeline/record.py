"""The record of a run as it begins: what it was asked, by which weights and rules, on which machine."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from qcgen.core.job import JobSpec
from qcgen.core.types import RunInfo
from qcgen.pipeline.resume import Identity


def begin_record(
    job: JobSpec,
    job_path: Path,
    identity: Identity,
    *,
    model_digest: str,
    policy_sha256: str,
    folder: Path,
    planned: int,
    facts: Mapping[str, str],
) -> RunInfo:
    """A run that has done nothing yet; `facts` join the machine's in its environment."""
    return RunInfo(
        run_id=identity.run_id,
        name=job.name,
        status="running",
        purpose=job.purpose,
        job_path=str(job_path),
        spec_sha256=identity.spec_sha256,
        spec_json=identity.spec_json,
        model=job.model,
        model_digest=model_digest,
        policy_sha256=policy_sha256,
        planned=planned,
        out_dir=str(folder),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ended_at=None,
        seconds=0.0,
        seconds_by_stage={},
        environment={**facts, **_read_machine()},
        gates=(),
        report=None,
    )


def _read_machine() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": version("pillow"),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
    }
