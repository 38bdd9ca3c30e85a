"""A distillation as a job: from a spec and a teacher's folder to a student, an event log and checkpoints."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.events import EVENTS_FILE
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.distill.blend import read_blend
from qcgen.distill.checkpoint import Checkpoints, flat
from qcgen.distill.export import export_student
from qcgen.distill.material import Material, Pairs
from qcgen.distill.networks import Networks
from qcgen.distill.pairs import make_pairs
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.govern.protocol import Work
from qcgen.models.card import digest, read_card
from qcgen.models.embedded import pick_dtype
from qcgen.models.families.sd15 import Parts, TextTower, UnetTeacher
from qcgen.models.noising import check_start
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.interrupt import listen
from qcgen.pipeline.licence import pass_gate
from qcgen.pipeline.publish import declare_student

_LEAST_PER_BIN = 8


def run_distillation(
    spec: DistillSpec,
    *,
    resume: bool,
    device: str,
    say: Callable[[str], None],
    tell: Callable[[Mapping[str, object]], None],
) -> Path:
    """Distil a teacher folder made by `qcgen train` into a one-step student; returns the student's folder.

    Args:
        resume: go on from the checkpoint in `spec.out`; without one, begin.
        say: receives sentences for a person.
        tell: receives every logged event.

    Raises:
        BlockedError: a licence stands against a student for the job's purpose.
        SpecError: a mistake in the job, a started distillation without `resume`, or inputs that changed since.
        PrerequisiteError: a part of the teacher is missing.
        PausedError: a signal asked to stop; a checkpoint was written.
    """
    torch.set_num_threads(spec.threads)
    parts = Parts.find(spec.teacher)
    card = read_card(spec.teacher)
    pass_gate(Work("distil", spec.purpose, str(spec.teacher), None), card, key="teacher", say=say)
    divergence = read_blend(spec.divergence)
    noising = parts.schedule
    t_init = noising.time_for(_noise_to_signal(spec))
    check_start(noising, t_init, where="student.noise_to_signal")
    data = read_image_set(spec.captions)
    material = _read_material(spec, parts, data)
    _check_sizes(spec, material)
    fingerprint = fingerprint_of(spec, parts)
    checkpoints = Checkpoints(spec.out, fingerprint)
    if checkpoints.exists() and not resume:
        raise SpecError(
            f"out: {spec.out} holds a started distillation. Cure: --resume to go on with it, or another out."
        )
    spec.out.mkdir(parents=True, exist_ok=True)
    if checkpoints.exists():
        checkpoints.load()
    unet = parts.load_unet(device)
    with listen("qcgen distill JOB --resume") as stop:
        if spec.pairs.count:
            say(f"{spec.pairs.count} pairs by the teacher's solver")
            material = replace(
                material,
                pairs=_pairs(
                    spec,
                    unet,
                    parts,
                    material,
                    made_from=json.dumps(fingerprint, sort_keys=True),
                    device=device,
                    check=stop.check,
                ),
            )
        teacher = UnetTeacher(unet, noising, dtype=pick_dtype(spec.optim.precision, device))
        networks = Networks(spec, teacher, cond_dim=material.cond.shape[-1], t_init=t_init, device=device)
        evaluate = InLoop(spec, parts, data, material, device=device).measure if spec.eval.every else None
        say(f"{spec.optim.steps} steps of {divergence.describe()}; events: {spec.out / EVENTS_FILE}")
        hooks = Hooks(tell=tell, check=stop.check, evaluate=evaluate)
        outcome = Trainer(spec, networks, material, divergence, fingerprint=fingerprint, hooks=hooks).run()
    say(f"ended by {outcome.reason}; the student of step {outcome.step} is exported")
    student = cast(UnetTeacher, outcome.student)
    export_student(student.unet, parts, spec.out / "student", t_init=t_init, size_px=data.images.shape[-1])
    declare_student(
        spec.out / "student",
        card,
        teacher_digest=str(fingerprint["teacher weights"]),
        name=spec.name,
        purpose=spec.purpose,
        notes={"recipe": f"{outcome.step} steps of {divergence.describe()}; ended by {outcome.reason}"},
    )
    return spec.out / "student"


def fingerprint_of(spec: DistillSpec, parts: Parts) -> dict[str, object]:
    """What a distillation is made from: the job's keys and the digests of its inputs."""
    latents = spec.teacher / "latents.safetensors"
    inputs = {
        "teacher weights": digest(parts.root),
        "teacher latents": _sha256(latents),
        "captions file": _sha256(spec.captions),
    }
    return {**flat(spec.model_dump(mode="json")), **inputs}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _noise_to_signal(spec: DistillSpec) -> float:
    value = spec.student.noise_to_signal
    return float("inf") if isinstance(value, str) else value


def _read_material(spec: DistillSpec, parts: Parts, data: ImageSet) -> Material:
    latents = spec.teacher / "latents.safetensors"
    if not latents.is_file():
        raise PrerequisiteError(f"{latents}: missing. Cure: train the teacher here first (it writes its latents).")
    rows = torch.from_numpy(data.rows(held_out=False))
    names = sorted(set(data.captions))
    order = {name: i + 1 for i, name in enumerate(names)}
    made = load_file(latents)
    if "weights" not in made:
        raise PrerequisiteError(
            f"{latents}: holds no weights of its rows. Cure: delete it and train the teacher again."
        )
    if len(made["weights"]) != len(rows):
        raise SpecError(
            f"captions: must be the set that the teacher was trained on (got {len(rows)} rows, its latents have "
            f"{len(made['weights'])}). Cure: give the teacher's own image set."
        )
    return Material(
        latents=made["latents"],
        weights=made["weights"],
        caption_of=torch.tensor([order[data.captions[int(row)]] for row in rows]),
        cond=TextTower(parts.tokenizer, parts.text_encoder, "cpu").embed(["", *names]),
    )


def _check_sizes(spec: DistillSpec, material: Material) -> None:
    """All that must hold between the job's numbers before the first step."""
    problems = []
    per_bin = spec.optim.batch / spec.ratio.bins / (1 - spec.ratio.ema)
    if per_bin < _LEAST_PER_BIN:
        problems.append(
            f"ratio.bins: the running statistics must hold at least {_LEAST_PER_BIN} samples a bin (got {per_bin:.1f} "
            f"from batch {spec.optim.batch}, {spec.ratio.bins} bins, ema {spec.ratio.ema:g}). "
            f"Cure: fewer bins, a larger batch, or a larger ratio.ema."
        )
    low, high = spec.ratio.clip
    if not 0 < low < 1 < high:
        problems.append(f"ratio.clip: must be 0 < low < 1 < high (got [{low:g}, {high:g}]). Cure: [0.1, 20].")
    if spec.optim.batch % spec.optim.accumulate:
        problems.append(
            f"optim.accumulate: must divide optim.batch {spec.optim.batch} (got {spec.optim.accumulate}). Cure: 1."
        )
    if len(material.weights) < spec.optim.batch:
        problems.append(
            f"captions: too few pictures for one batch of {spec.optim.batch} (got {len(material.weights)}). "
            "Cure: more pictures, or a smaller optim.batch."
        )
    if spec.gan.data != "real" and not spec.pairs.count:
        problems.append(f"gan.data: {spec.gan.data} needs the teacher's samples. Cure: pairs: {{count: 1024}}.")
    if spec.pairs.steps and not spec.pairs.count:
        problems.append("pairs.steps: needs pairs to regress on (got count 0). Cure: pairs: {count: 1024}.")
    if spec.time.low >= spec.time.high:
        problems.append(f"time.low: must be below time.high (got {spec.time.low:g}, {spec.time.high:g}). Cure: 0.02.")
    if problems:
        raise SpecError(problems)


def _pairs(
    spec: DistillSpec,
    unet: UNet2DConditionModel,
    parts: Parts,
    material: Material,
    *,
    made_from: str,
    device: str,
    check: Callable[[], None],
) -> Pairs:
    cache = spec.out / "pairs.safetensors"
    return make_pairs(
        spec, unet, parts.schedule, material, cache=cache, made_from=made_from, device=device, check=check
    )
