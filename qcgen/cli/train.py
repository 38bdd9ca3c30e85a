"""`qcgen train`, `qcgen distill`, `qcgen eval`: from pictures to a student, and its measures."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from qcgen.cli.console import print_result
from qcgen.cli.options import Clip, Device, DeviceOption, Job, Json


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


def distill(
    job: Job,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")] = False,
    device: DeviceOption = Device.AUTO,
    json: Json = False,
) -> None:
    """Distil a teacher into a one-step student, with an event log, checkpoints and a report in the job's `out`.

    Example: qcgen distill jobs/distill/apparel.yaml --resume
    """
    from qcgen.cli.live import training_shown
    from qcgen.cli.wiring import pick_device, prepare_torch
    from qcgen.core.distillspec import DistillSpec
    from qcgen.core.errors import PausedError
    from qcgen.core.events import EVENTS_FILE
    from qcgen.core.spec import load_yaml
    from qcgen.pipeline.distill import run_distillation
    from qcgen.report.training import write_training_report

    prepare_torch()
    spec = load_yaml(job, DistillSpec)
    try:
        with training_shown(spec.name, spec.optim.steps) as tell:
            student = run_distillation(spec, resume=resume, device=pick_device(device), say=_say, tell=tell)
    except PausedError:
        # Stopped while it made pairs, it has no log yet.
        if (spec.out / EVENTS_FILE).is_file():
            write_training_report(spec.out, spec.name)
        raise
    report = write_training_report(spec.out, spec.name)
    print_result({"student": student, "report": report}, as_json=json, text=f"student: {student}\nreport: {report}")


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="embedded:NAME or a folder; a student or a teacher.")],
    data: Annotated[Path, typer.Option("--data", metavar="NPZ", help="The image set that the model learned from.")],
    count: Annotated[int, typer.Option("--count", min=100, metavar="N", help="Pictures to make.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of captions and noise.")] = 0,
    steps: Annotated[int, typer.Option("--steps", min=2, help="Solver steps of a teacher.")] = 24,
    guidance: Annotated[float, typer.Option("--guidance", min=1, help="Guidance scale of a teacher.")] = 2.0,
    clip: Clip = "embedded:clip-apparel",
    json: Json = False,
) -> None:
    """Measure a model: Frechet distance, precision, recall, garment, colour, nearness to the training pictures.

    Example: qcgen eval embedded:apparel --data clothing128.npz --count 2000
    """
    from qcgen.cli.wiring import prepare_torch
    from qcgen.data.imageset import read_image_set
    from qcgen.models.embedded import load_encoder, load_student
    from qcgen.models.find import STUDENT_FILE, resolve_model
    from qcgen.pipeline.measure import measure, sample_student, sample_teacher

    ref, pictures = resolve_model(model), read_image_set(data)
    prepare_torch()
    if (ref.folder / STUDENT_FILE).is_file() or model.startswith("toy:"):
        sampler = sample_student(load_student(ref))
    else:
        sampler = sample_teacher(ref, steps=steps, guidance_scale=guidance)
    measured = measure(sampler, pictures, load_encoder(clip), n=count, seed=seed)
    result = {"model": ref.name, "model_digest": ref.digest, "seed": seed, "measures": measured}
    print_result(result, as_json=json, text=_lines(measured))


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _lines(measured: dict[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in measured.items())
