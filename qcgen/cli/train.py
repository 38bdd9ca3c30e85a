"""`qcgen train`, `qcgen distill`: from pictures to a student."""

from typing import TYPE_CHECKING, Annotated

import typer

from qcgen.cli.console import print_result, say
from qcgen.cli.options import Device, DeviceOption, Job, Json

if TYPE_CHECKING:
    from qcgen.core.distillspec import DistillSpec
    from qcgen.distill.ranks import Ranks


def train(job: Job, json: Json = False) -> None:
    """Train what a job of jobs/train asks for; a started training resumes from its last checkpoint.

    Example: qcgen train jobs/train/clip-apparel.yaml
    """
    from pydantic import TypeAdapter

    from qcgen.cli.wiring import prepare_torch, refuse_several
    from qcgen.core.spec import load_yaml
    from qcgen.core.trainspec import TrainSpec
    from qcgen.pipeline.train import run_training

    refuse_several("qcgen train")
    prepare_torch()
    spec = load_yaml(job, TypeAdapter(TrainSpec))
    measured = run_training(spec, say=say)
    print_result(
        {"out": spec.out, "measured": measured}, as_json=json, text=_lines(measured) + f"\nweights and log: {spec.out}"
    )


def distill(
    job: Job,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")] = False,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Distil a teacher into a one-step student, with an event log, checkpoints and a report in the job's `out`.

    Example: qcgen distill jobs/distill/apparel.yaml --resume
    """
    from qcgen.cli.wiring import pick_device, prepare_torch
    from qcgen.core.distillspec import DistillSpec
    from qcgen.core.spec import load_yaml
    from qcgen.distill.ranks import joined
    from qcgen.pipeline.distill import run_distillation

    prepare_torch()
    where = pick_device(device)
    with joined(where) as ranks:
        with ranks.together():
            spec = load_yaml(job, DistillSpec)
        if ranks.first:
            _distill(spec, resume=resume, device=where, ranks=ranks, as_json=json)
        else:
            run_distillation(spec, resume=resume, device=where, say=lambda _: None, tell=lambda _: None, ranks=ranks)


def _distill(spec: "DistillSpec", *, resume: bool, device: str, ranks: "Ranks", as_json: bool) -> None:
    from qcgen.cli.live import training_shown
    from qcgen.core.errors import PausedError
    from qcgen.core.events import EVENTS_FILE
    from qcgen.pipeline.distill import run_distillation
    from qcgen.pipeline.hold import HeldFolderError
    from qcgen.report.training import write_training_report

    try:
        with training_shown(spec.name, spec.optim.steps) as tell:
            student = run_distillation(spec, resume=resume, device=device, say=say, tell=tell, ranks=ranks)
    except HeldFolderError:
        # The other process's folder is not ours to write in.
        raise
    except PausedError:
        # Stopped while it made pairs, it has no log yet.
        if (spec.out / EVENTS_FILE).is_file():
            write_training_report(spec.out, spec.name)
        raise
    report = write_training_report(spec.out, spec.name)
    print_result({"student": student, "report": report}, as_json=as_json, text=f"student: {student}\nreport: {report}")


def _lines(measured: dict[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in measured.items())
