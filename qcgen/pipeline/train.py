"""Trainings as jobs: from a spec to a folder of weights, a log and measures."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from qcgen.core.trainspec import (
    ArtifactHeadTraining,
    AutoencoderTraining,
    ClassifierTraining,
    ClipTraining,
    PixelTeacherTraining,
    StockDecoderTraining,
    Training,
)
from qcgen.core.types import Lineage
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.models.card import CARD_FILE
from qcgen.models.encoder import OpenClipEncoder
from qcgen.models.find import resolve_model
from qcgen.pipeline.descent import descent, own_licence
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.planted import draw_pictures, planted
from qcgen.pipeline.publish import declare_trained
from qcgen.train.artifacthead import ArtifactHeadTask
from qcgen.train.autoencoder import AutoencoderTask
from qcgen.train.classifier import ClassifierTask
from qcgen.train.clip import ClipTask
from qcgen.train.loop import Task, fit
from qcgen.train.pixelteacher import PixelTeacherTask
from qcgen.train.stockdecoder import StockDecoderTask
from qcgen.train.teacher import TeacherTask


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
    parameters = sum(p.numel() for p in task.module.parameters())
    say(f"{parameters:,} parameters, {spec.optim.steps} steps; log: {spec.out / 'log.jsonl'}")
    lineage, licence = descent(spec), own_licence(spec)
    if not spec.data_licence:
        say(
            "data_licence: must be given for commercial work with this model or a student of it (got none). "
            "Cure: the licence of the pictures, such as data_licence: CC0-1.0."
        )
    measured = fit(task, spec.optim, folder=spec.out, seed=spec.seed, checkpoint_every=spec.checkpoint_every)
    _declare(spec, lineage, licence, measured, say=say)
    return measured


def _declare(
    spec: Training,
    lineage: Sequence[Lineage],
    licence: str | None,
    measured: Mapping[str, object],
    *,
    say: Callable[[str], None],
) -> None:
    """Write the card of what the training gave."""
    folder = spec.out / "vae" if isinstance(spec, StockDecoderTraining) else spec.out
    teacher = spec.kind in {"teacher", "pixel_teacher"}
    # What a teacher's own training measures are counts; its quality is for `qcgen eval`.
    measures: Mapping[str, object] = {} if teacher else measured
    if spec.kind == "autoencoder":
        measures = {"held_out_photos": measured}
    declared = declare_trained(
        folder,
        kind="teacher" if teacher else spec.kind,
        name=spec.name,
        lineage=lineage,
        licence=licence,
        measures=measures,
        recipe=f"{spec.kind}: {spec.optim.steps} steps of {spec.optim.batch}, seed {spec.seed}.",
    )
    if not declared:
        say(f"{folder / CARD_FILE} was written by somebody else and stays. Cure, for one from this job: remove it.")


def _task(spec: Training, data: ImageSet) -> Task:
    if isinstance(spec, ClipTraining):
        return ClipTask(spec, data)
    if isinstance(spec, AutoencoderTraining):
        return AutoencoderTask(spec, data)
    if isinstance(spec, PixelTeacherTraining):
        return PixelTeacherTask(spec, data)
    if isinstance(spec, StockDecoderTraining):
        return StockDecoderTask(spec, data)
    if isinstance(spec, ArtifactHeadTraining):
        return ArtifactHeadTask(spec, data, draw_pictures(spec, data), planted(spec))
    if isinstance(spec, ClassifierTraining):
        folder = resolve_model(spec.clip, key="clip").folder
        return ClassifierTask(spec, data, folder, cast(nn.Module, OpenClipEncoder(folder).model.visual))
    return TeacherTask(spec, data)
