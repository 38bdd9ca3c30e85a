"""A small real job on the toy student, in this process or (see `toyprocess`) in one that can be killed."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from qcgen.core.errors import QcgenError
from qcgen.core.expand import expand
from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import RunInfo
from qcgen.models.families.toy import Fault, ToyStudent
from qcgen.pipeline.progress import Progress
from qcgen.pipeline.run import run_job
from qcgen.qc.policy import load_policy
from qcgen.store.sql import open_store

COLOURS = ("red", "green", "blue", "navy", "gold", "teal")
PRODUCTS = ("dress", "shirt", "hat")
# Its limit on blur rejects about a third of the toy's pictures, so that attempts, retries and items left over all
# occur.
PROFILE = str(Path(__file__).with_name("toy_profile.json"))


def make_job(
    out: Path,
    *,
    copies: int = 4,
    shard_size: int = 16,
    seed: int = 7,
    name: str = "toy-night",
    prompt: str = "a photo of a {colour} {product}",
    batch_size: int = 8,
    image_format: str = "png",
    profile: str = PROFILE,
    max_attempts: int = 3,
) -> JobSpec:
    """6 colours x 3 products x `copies` pictures of 32 px."""
    return JobSpec.model_validate(
        {
            "version": 1,
            "name": name,
            "model": "toy:32",
            "purpose": "research",
            "items": {
                "matrix": {"product": PRODUCTS, "colour": COLOURS},
                "prompt": prompt,
                "images_per_item": copies,
                "seed": seed,
            },
            "output": {"dir": out, "format": image_format},
            "engine": {"batch_size": batch_size, "shard_size": shard_size},
            "qc": {"profile": profile, "retry": {"max_attempts": max_attempts}},
        }
    )


def run_toy(
    job: JobSpec,
    store: Store,
    *,
    student: ToyStudent | None = None,
    faults: Mapping[int, Fault] | None = None,
    precise: Callable[[], ToyStudent] | None = None,
    report: Callable[[RunInfo], Path] | None = None,
    progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] = print,
    limit: int | None = None,
) -> RunInfo:
    """Run the job with the real store and the real checks, without a CLIP."""
    student = student or ToyStudent(ToyStudent.reference(job.model), faults=faults)
    path = Path("toy.yaml")
    return run_job(
        job,
        path,
        expansion=expand(job, path, model_digest=student.ref.digest, size_px=student.size_px),
        store=store,
        student=student,
        encoder=None,
        policy=load_policy(job.qc.profile),
        report=report,
        progress=progress,
        say=say,
        precise=precise,
        limit=limit,
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("database")
    parser.add_argument("--pause-s", type=float, default=0.0, help="sleep after each batch, to be caught in the middle")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--profile", default=PROFILE)
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)

    def tell(progress: Progress) -> None:
        print(progress.phase, progress.done, progress.generated, flush=True)
        time.sleep(arguments.pause_s)

    try:
        store = open_store(arguments.database)
        run = run_toy(make_job(arguments.out, copies=arguments.copies, profile=arguments.profile), store, progress=tell)
    except QcgenError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(run.status)
    return 0
