"""`qcgen train`, `qcgen distill`: from pictures to a student."""

import sys

from qcgen.cli.console import print_result
from qcgen.cli.options import Job, Json


def train(job: Job, json: Json = False) -> None:
    """Train what a job of jobs/train asks for; a started training resumes from its last checkpoint.

    Example: qcgen train jobs/train/clip-apparel.yaml
    """
    from pydantic import TypeAdapter

    from qcgen.cli.wiring import prepare_torch
    from qcgen.core.spec import load_yaml
    from qcgen.core.trainspec import TrainSpec
    from qcgen.pipeline.train import run_training

    prepare_torch()
    spec = load_yaml(job, TypeAdapter(TrainSpec))
    measured = run_training(spec, say=_say)
    print_result(
        {"out": spec.out, "measured": measured}, as_json=json, text=_lines(measured) + f"\nweights and log: {spec.out}"
    )


def distill(job: Job, json: Json = False) -> None:
    """Distil a teacher into a one-step student; a started distillation resumes from its last checkpoint.

    Example: qcgen distill jobs/distill/apparel.yaml
    """
    from qcgen.cli.wiring import prepare_torch
    from qcgen.core.distillspec import DistillSpec
    from qcgen.core.spec import load_yaml
    from qcgen.pipeline.train import run_distillation

    prepare_torch()
    spec = load_yaml(job, DistillSpec)
    student = run_distillation(spec, say=_say)
    print_result({"student": student}, as_json=json, text=f"student: {student}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _lines(measured: dict[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in measured.items())
