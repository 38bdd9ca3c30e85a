"""Trainings and distillations as jobs: from a spec to a folder of weights, a log and measures."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.registry import scan
from qcgen.core.trainspec import AutoencoderTraining, ClipTraining, TeacherTraining
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.distill.export import export_student
from qcgen.distill.pairs import make_pairs, regress
from qcgen.distill.protocol import Divergence
from qcgen.distill.trainer import Distiller, Material, log_to, run
from qcgen.models.families.sd15 import Parts, TextTower
from qcgen.train.autoencoder import AutoencoderTask
from qcgen.train.clip import ClipTask
from qcgen.train.loop import Task, fit
from qcgen.train.teacher import TeacherTask

Training = ClipTraining | AutoencoderTraining | TeacherTraining


def run_training(spec: Training, *, say: Callable[[str], None]) -> dict[str, object]:
    """Train what the job asks for, resuming a started one; returns the measures that are also written to
    `out/measured.json`."""
    torch.set_num_threads(spec.threads)
    data = read_image_set(spec.data.path, held_out_share=spec.data.held_out_share)
    say(f"{len(data)} pictures, {int(data.held_out.sum())} held out")
    task = _task(spec, data)
    millions = sum(p.numel() for p in task.module.parameters()) / 1e6
    say(f"{millions:.2f} M parameters, {spec.optim.steps} steps; log: {spec.out / 'log.jsonl'}")
    return fit(task, spec.optim, folder=spec.out, seed=spec.seed, checkpoint_every=spec.checkpoint_every)


def _task(spec: Training, data: ImageSet) -> Task:
    if isinstance(spec, ClipTraining):
        return ClipTask(spec, data)
    if isinstance(spec, AutoencoderTraining):
        return AutoencoderTask(spec, data)
    return TeacherTask(spec, data)


def run_distillation(spec: DistillSpec, *, say: Callable[[str], None]) -> Path:
    """Distil a teacher folder made by `run_training` into a one-step student; returns the student's folder."""
    torch.set_num_threads(spec.threads)
    parts = Parts.find(spec.teacher)
    latents = spec.teacher / "latents.safetensors"
    if not latents.is_file():
        raise PrerequisiteError(f"{latents}: missing. Cure: train the teacher here first (it writes its latents).")
    data = read_image_set(spec.captions)
    rows = torch.from_numpy(data.rows(held_out=False))
    names = sorted(set(data.captions))
    order = {name: i + 1 for i, name in enumerate(names)}
    made = load_file(latents)
    material = Material(
        latents=made["latents"],
        weights=made["weights"],
        caption_of=torch.tensor([order[data.captions[int(row)]] for row in rows]),
        cond=TextTower(parts.tokenizer, parts.text_encoder, "cpu").embed(["", *names]),
    )
    teacher = parts.load_unet("cpu")
    distiller = Distiller(spec, teacher, parts.schedule, material, pick_divergence(spec.divergence.name))
    spec.out.mkdir(parents=True, exist_ok=True)
    if spec.pairs.steps and not (spec.out / "checkpoint.safetensors").exists():
        say(f"{spec.pairs.count} pairs by the teacher's solver, {spec.pairs.steps} steps of regression")
        pairs = make_pairs(spec, teacher, parts.schedule, material)
        # Kept for a decoder that shall learn from what a network makes (`samples` of an autoencoder's job).
        save_file(
            {"latents": pairs.x_0, "noise": pairs.noise, "caption": pairs.caption}, spec.out / "pairs.safetensors"
        )
        losses = regress(distiller, pairs)
        (spec.out / "pairs.json").write_text(json.dumps(losses) + "\n")
    say(f"{spec.optim.steps} steps of {spec.divergence.name}; log: {spec.out / 'log.jsonl'}")
    student = run(distiller, spec.out, log=log_to(spec.out / "log.jsonl"))
    export_student(student, parts, spec.out / "student", t_init=distiller.t_init, size_px=data.images.shape[-1])
    return spec.out / "student"


def pick_divergence(name: str) -> Divergence:
    """The divergence of that YAML name; an unknown one lists those that exist."""
    known = scan("qcgen.distill.divergences")
    if name not in known:
        raise SpecError(f"divergence.name: {name!r} is unknown. Cure: use one of {', '.join(sorted(known))}.")
    divergence: Divergence = known[name]()
    return divergence
