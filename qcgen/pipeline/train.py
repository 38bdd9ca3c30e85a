"""Trainings as jobs: from a spec to a folder of weights, a log and measures."""

from collections.abc import Callable

import torch

from qcgen.core.trainspec import (
    AutoencoderTraining,
    ClipTraining,
    PixelTeacherTraining,
    StockDecoderTraining,
    TeacherTraining,
)
from qcgen.core.types import Lineage
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.models.find import resolve_model
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.publish import declare_decoder
from qcgen.train.autoencoder import AutoencoderTask
from qcgen.train.clip import ClipTask
from qcgen.train.loop import Task, fit
from qcgen.train.pixelteacher import PixelTeacherTask
from qcgen.train.stockdecoder import StockDecoderTask
from qcgen.train.teacher import TeacherTask

Training = ClipTraining | AutoencoderTraining | TeacherTraining | PixelTeacherTraining | StockDecoderTraining


def run_training(spec: Training, *, say: Callable[[str], None]) -> dict[str, object]:
    """Train what the job asks for, resuming a started one; returns the measures that are also written to
    `out/measured.json`.

    Raises:
        SpecError: a mistake in the job.
        PrerequisiteError: something that the training starts from is missing.
        PausedError: another process works in `spec.out`.
    """
    torch.set_num_threads(spec.threads)
    data = read_image_set(spec.data.path, held_out_share=spec.data.held_out_share)
    say(f"{len(data)} pictures, {int(data.held_out.sum())} held out")
    with hold_folder(spec.out, key="out", say=say):
        return _train(spec, data, say=say)


def _train(spec: Training, data: ImageSet, *, say: Callable[[str], None]) -> dict[str, object]:
    task = _task(spec, data)
    millions = sum(p.numel() for p in task.module.parameters()) / 1e6
    say(f"{millions:.2f} M parameters, {spec.optim.steps} steps; log: {spec.out / 'log.jsonl'}")
    measured = fit(task, spec.optim, folder=spec.out, seed=spec.seed, checkpoint_every=spec.checkpoint_every)
    if isinstance(spec, StockDecoderTraining):
        pictures = Lineage("trained_on", spec.data.path.name, spec.data_licence)
        student = resolve_model(spec.student)
        declare_decoder(spec.out / "vae", student, pictures=pictures, name=spec.name, measures=measured)
    return measured


def _task(spec: Training, data: ImageSet) -> Task:
    if isinstance(spec, ClipTraining):
        return ClipTask(spec, data)
    if isinstance(spec, AutoencoderTraining):
        return AutoencoderTask(spec, data)
    if isinstance(spec, PixelTeacherTraining):
        return PixelTeacherTask(spec, data)
    if isinstance(spec, StockDecoderTraining):
        return StockDecoderTask(spec, data)
    return TeacherTask(spec, data)
