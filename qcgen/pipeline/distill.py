"""A distillation as a job: from a spec and a teacher's folder to a student, an event log and checkpoints."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.core.events import EVENTS_FILE
from qcgen.core.types import Card, Lineage
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.distill.blend import read_blend
from qcgen.distill.checkpoint import Checkpoints, flat
from qcgen.distill.networks import Networks
from qcgen.distill.pairs import make_pairs
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.govern.protocol import Work
from qcgen.models.card import digest, read_card
from qcgen.models.embedded import pick_dtype
from qcgen.models.lora import merged
from qcgen.models.network import Network
from qcgen.models.noising import Schedule, check_start
from qcgen.models.parts import find_parts
from qcgen.models.protocol import ModelParts
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.interrupt import listen
from qcgen.pipeline.licence import pass_gate
from qcgen.pipeline.material import LATENTS, read_material
from qcgen.pipeline.publish import declare_student

_LEAST_PER_BIN = 8
_FORMAT = 2
"""Of the checkpoints: what an older one holds has other names."""


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
    parts = find_parts(spec.teacher, where="teacher")
    declared = read_card(spec.teacher)
    card = _with_pictures(spec, declared)
    # A teacher that lists nothing is told so, whatever the student adds.
    gated = card if declared.lineage else declared
    pass_gate(Work("distil", spec.purpose, str(spec.teacher)), gated, key="teacher", say=say)
    divergence = read_blend(spec.divergence)
    noising = parts.schedule
    t_init = noising.time_for(_noise_to_signal(spec))
    check_start(noising, t_init, where="student.noise_to_signal")
    data = read_image_set(spec.captions)
    _check_sizes(spec, parts, data)
    fingerprint = fingerprint_of(spec, parts)
    checkpoints = Checkpoints(spec.out, fingerprint)
    if checkpoints.exists() and not resume:
        raise SpecError(
            f"out: {spec.out} holds a started distillation. Cure: --resume to go on with it, or another out."
        )
    if checkpoints.exists():
        checkpoints.load()
    with listen("qcgen distill JOB --resume") as stop:
        material = read_material(spec, parts, data, device=device, check=stop.check)
        spec.out.mkdir(parents=True, exist_ok=True)
        teacher = cast(Network, parts.load_network(device, dtype=pick_dtype(spec.optim.precision, device)))
        if spec.pairs.count:
            say(f"{spec.pairs.count} pairs by the teacher's solver")
            solver = Network(teacher.core, teacher.adapter, noising, dtype=torch.bfloat16)
            made = make_pairs(
                spec,
                solver,
                material,
                cache=spec.out / "pairs.safetensors",
                made_from=json.dumps(fingerprint, sort_keys=True),
                device=device,
                check=stop.check,
            )
            material = replace(material, pairs=made)
        networks = Networks(spec, teacher, cond_dim=material.cond.shape[-1], t_init=t_init, device=device)
        evaluate = InLoop(spec, parts, data, material, device=device).measure if spec.eval.every else None
        say(f"{spec.optim.steps} steps of {divergence.describe()}; events: {spec.out / EVENTS_FILE}")
        hooks = Hooks(tell=tell, check=stop.check, evaluate=evaluate)
        outcome = Trainer(spec, networks, material, divergence, fingerprint=fingerprint, hooks=hooks).run()
    say(f"ended by {outcome.reason}; the student of step {outcome.step} is exported")
    parts.write_student(merged(cast(nn.Module, outcome.student)), spec.out / "student", t_init=t_init)
    declare_student(
        spec.out / "student",
        card,
        teacher_digest=str(fingerprint["teacher weights"]),
        name=spec.name,
        purpose=spec.purpose,
        notes={"recipe": f"{outcome.step} steps of {divergence.describe()}; ended by {outcome.reason}"},
    )
    return spec.out / "student"


def fingerprint_of(spec: DistillSpec, parts: ModelParts) -> dict[str, object]:
    """What a distillation is made from: the job's keys and the digests of its inputs."""
    latents = spec.teacher / LATENTS
    inputs = {
        "format": _FORMAT,
        "teacher weights": digest(parts.root),
        "teacher latents": _sha256(latents) if latents.is_file() else None,
        "captions file": _sha256(spec.captions),
    }
    return {**flat(spec.model_dump(mode="json")), **inputs}


def _with_pictures(spec: DistillSpec, card: Card) -> Card:
    """The teacher's card; pictures that the teacher has not encoded itself are an ancestor of the student's own."""
    if (spec.teacher / LATENTS).is_file():
        return card
    edge = Lineage("trained_on", spec.captions.name, spec.captions_licence)
    return replace(card, lineage=(*card.lineage, edge))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _noise_to_signal(spec: DistillSpec) -> float:
    value = spec.student.noise_to_signal
    return float("inf") if isinstance(value, str) else value


def _check_sizes(spec: DistillSpec, parts: ModelParts, data: ImageSet) -> None:
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
    count = len(data.rows(held_out=False))
    if count < spec.optim.batch:
        problems.append(
            f"captions: too few pictures for one batch of {spec.optim.batch} (got {count}). "
            "Cure: more pictures, or a smaller optim.batch."
        )
    if spec.gan.data != "real" and not spec.pairs.count:
        problems.append(f"gan.data: {spec.gan.data} needs the teacher's samples. Cure: pairs: {{count: 1024}}.")
    if spec.pairs.steps and not spec.pairs.count:
        problems.append("pairs.steps: needs pairs to regress on (got count 0). Cure: pairs: {count: 1024}.")
    if spec.pairs.count and not isinstance(parts.schedule, Schedule):
        kind = type(parts.schedule).__name__.lower()
        problems.append(
            f"pairs.count: the solver works on a variance-preserving schedule (got {kind}). Cure: pairs: {{count: 0}}."
        )
    if spec.guidance_scale != 1 and not parts.guidable:
        problems.append(
            f"guidance_scale: must be 1 for a teacher without an empty caption (got {spec.guidance_scale:g}). Cure: 1."
        )
    if spec.time.low >= spec.time.high:
        problems.append(f"time.low: must be below time.high (got {spec.time.low:g}, {spec.time.high:g}). Cure: 0.02.")
    if problems:
        raise SpecError(problems)
