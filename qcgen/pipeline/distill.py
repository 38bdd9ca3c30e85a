"""A distillation as a job: from a spec and a teacher's folder to a student, an event log and checkpoints."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.events import EVENTS_FILE
from qcgen.core.types import Card, Lineage
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.distill.blend import Blend, read_blend
from qcgen.distill.checkpoint import ENCODER, Checkpoints, flat
from qcgen.distill.material import Material
from qcgen.distill.networks import Networks
from qcgen.distill.pairs import make_pairs
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.govern.protocol import Work
from qcgen.models.card import STUDENT_FILE, digest, read_card
from qcgen.models.embedded import pick_dtype
from qcgen.models.find import resolve_model
from qcgen.models.lora import merged
from qcgen.models.network import Network
from qcgen.models.noising import Schedule, check_start
from qcgen.models.parts import find_parts
from qcgen.models.protocol import ModelParts
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.interrupt import listen
from qcgen.pipeline.licence import pass_gate
from qcgen.pipeline.material import LATENTS, read_material
from qcgen.pipeline.publish import declare_student

_LEAST_PER_BIN = 8
_FORMAT = 2
"""Of the checkpoints: what an older one holds has other names."""
_PAIRS_KEYS = frozenset({"guidance_scale", "pairs.count", "pairs.solver_steps", "seed"})
"""Keys of a job that its pairs depend on."""
_NOT_OF_PAIRS = ("student.", "eval.")
"""Beginnings of inputs that the pairs do not depend on."""
_GUIDANCE_PROOF = frozenset({"core.time_embedding.cond_proj.weight"})
"""What writing a student added: an embedding of weight zero, which keeps pipelines from guiding it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a distillation stands on before the teacher is loaded.

    Attributes:
        card: the teacher's, with what the student adds to its lineage: pictures, and the student it goes on from.
        inputs: digests of what it is made from, by name.
        start: weights of `student.init`, by the teacher's own names.
    """

    parts: ModelParts
    card: Card
    data: ImageSet
    inputs: Mapping[str, object]
    start: Mapping[str, Tensor] | None


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
        PausedError: a signal asked to stop (a checkpoint was written), or another process works in `spec.out`.
    """
    torch.set_num_threads(spec.threads)
    divergence = read_blend(spec.divergence)
    ground = prepare(spec, say=say)
    with hold_folder(spec.out, key="out", say=say):
        return _distil(spec, ground, divergence, resume=resume, device=device, say=say, tell=tell)


def _distil(
    spec: DistillSpec,
    ground: Ground,
    divergence: Blend,
    *,
    resume: bool,
    device: str,
    say: Callable[[str], None],
    tell: Callable[[Mapping[str, object]], None],
) -> Path:
    """What `run_distillation` does once nobody else works in `spec.out`."""
    parts = ground.parts
    fingerprint = fingerprint_of(spec, ground)
    checkpoints = Checkpoints(spec.out, fingerprint)
    if checkpoints.exists() and not resume:
        raise SpecError(
            f"out: {spec.out} holds a started distillation. Cure: --resume to go on with it, or another out."
        )
    if checkpoints.exists():
        checkpoints.load()
    with listen("qcgen distill JOB --resume") as stop:
        material = read_material(spec, parts, ground.data, device=device, check=stop.check)
        teacher = load_teacher(spec, ground, device=device)
        if spec.pairs.count:
            say(f"{spec.pairs.count} pairs by the teacher's solver")
            material = with_pairs(spec, ground, material, teacher, device=device, check=stop.check)
        evaluate = InLoop(spec, parts, ground.data, material, device=device).measure if spec.eval.every else None
        say(f"{spec.optim.steps} steps of {divergence.describe()}; events: {spec.out / EVENTS_FILE}")
        hooks = Hooks(tell=tell, check=stop.check, evaluate=evaluate)
        trainer = make_trainer(spec, ground, material, teacher, fingerprint=fingerprint, hooks=hooks, device=device)
        outcome = trainer.run()
    say(f"ended by {outcome.reason}; the student of step {outcome.step} is exported")
    student = merged(cast(nn.Module, outcome.student))
    parts.write_student(student, spec.out / "student", t_init=start_time(spec, parts))
    declare_student(
        spec.out / "student",
        ground.card,
        teacher_digest=str(ground.inputs["teacher weights"]),
        name=spec.name,
        purpose=spec.purpose,
        notes={"recipe": f"{outcome.step} steps of {divergence.describe()}; ended by {outcome.reason}"},
    )
    return spec.out / "student"


def prepare(spec: DistillSpec, *, say: Callable[[str], None], where: str = "student.noise_to_signal") -> Ground:
    """Find the teacher's parts, pass the licence gate, read the pictures and refuse what cannot work.

    Args:
        say: receives what the licence gate warns of.
        where: the key that holds the student's place, for messages.

    Raises:
        BlockedError, SpecError, PrerequisiteError: as `run_distillation`.
    """
    parts = find_parts(spec.teacher, where="teacher")
    declared = read_card(spec.teacher)
    card = _with_start(spec, _with_pictures(spec, declared))
    # A teacher that lists nothing is told so, whatever the student adds.
    gated = card if declared.lineage else declared
    pass_gate(Work("distil", spec.purpose, str(spec.teacher)), gated, key="teacher", say=say)
    check_start(parts.schedule, start_time(spec, parts), where=where)
    start = _read_start(spec, parts)
    data = read_image_set(spec.captions)
    _check_sizes(spec, parts, data)
    return Ground(parts, card, data, _inputs(spec, parts), start)


def load_teacher(spec: DistillSpec, ground: Ground, *, device: str) -> Network:
    """The teacher's network in the job's precision."""
    return cast(Network, ground.parts.load_network(device, dtype=pick_dtype(spec.optim.precision, device)))


def with_pairs(
    spec: DistillSpec, ground: Ground, material: Material, teacher: Network, *, device: str, check: Callable[[], None]
) -> Material:
    """The same material with the teacher's own samples, made once and kept in `spec.out`."""
    made_from = {key: value for key, value in flat(spec.model_dump(mode="json")).items() if key in _PAIRS_KEYS}
    inputs = {key: value for key, value in ground.inputs.items() if not key.startswith(_NOT_OF_PAIRS)}
    pairs = make_pairs(
        spec,
        Network(teacher.core, teacher.adapter, ground.parts.schedule, dtype=torch.bfloat16),
        material,
        cache=spec.out / "pairs.safetensors",
        made_from=json.dumps({**made_from, **inputs}, sort_keys=True),
        device=device,
        check=check,
    )
    return replace(material, pairs=pairs)


def make_trainer(
    spec: DistillSpec,
    ground: Ground,
    material: Material,
    teacher: Network,
    *,
    fingerprint: Mapping[str, object],
    hooks: Hooks,
    device: str,
) -> Trainer:
    """The training of a job, before its first turn."""
    cond_dim, t_init = material.cond.shape[-1], start_time(spec, ground.parts)
    networks = Networks(spec, teacher, cond_dim=cond_dim, t_init=t_init, device=device)
    if ground.start is not None:
        networks.load_student(ground.start)
    return Trainer(spec, networks, material, read_blend(spec.divergence), fingerprint=fingerprint, hooks=hooks)


def start_time(spec: DistillSpec, parts: ModelParts) -> float:
    """Where the student lives, in the teacher's own time."""
    value = spec.student.noise_to_signal
    return parts.schedule.time_for(float("inf") if isinstance(value, str) else value)


def fingerprint_of(spec: DistillSpec, ground: Ground) -> dict[str, object]:
    """What a distillation is made from: the job's keys and the digests of its inputs."""
    return {**flat(spec.model_dump(mode="json")), **ground.inputs}


def _inputs(spec: DistillSpec, parts: ModelParts) -> dict[str, object]:
    latents = spec.teacher / LATENTS
    start = {} if spec.student.init is None else {"student.init weights": digest(spec.student.init)}
    # What is measured decides when a training ends and which student comes out.
    measure = {ENCODER: resolve_model(spec.eval.clip, key="eval.clip").digest} if spec.eval.every else {}
    return {
        "format": _FORMAT,
        "teacher weights": digest(parts.root),
        "teacher latents": _sha256(latents) if latents.is_file() else None,
        "captions file": _sha256(spec.captions),
        **start,
        **measure,
    }


def _read_start(spec: DistillSpec, teacher: ModelParts) -> Mapping[str, Tensor] | None:
    """The weights of `student.init`, by the teacher's own names."""
    folder = spec.student.init
    if folder is None:
        return None
    if spec.optim.lora is not None:
        raise SpecError(
            "student.init: adapters begin at the teacher, on the base that all networks share (got optim.lora too). "
            "Cure: leave one of them out."
        )
    facts = folder / STUDENT_FILE
    if not facts.is_file():
        raise PrerequisiteError(
            f"student.init: {facts} is missing. Cure: the folder of a student that qcgen distilled."
        )
    t_init = start_time(spec, teacher)
    try:
        lives_at = float(json.loads(facts.read_text(encoding="utf-8"))["t_init"])
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(f"student.init: {facts} is damaged ({error!r}). Cure: distil the student again.") from error
    if not math.isclose(lives_at, int(t_init) if isinstance(teacher.schedule, Schedule) else t_init):
        raise SpecError(
            f"student.init: must live at the job's time {t_init:g} (got {lives_at:g}). "
            "Cure: the noise_to_signal that it was distilled with."
        )
    given, own = (
        cast(Network, parts.load_network("cpu", dtype=torch.float32)).state_dict()
        for parts in (find_parts(folder, where="student.init"), teacher)
    )
    if not own.keys() <= given.keys() <= own.keys() | _GUIDANCE_PROOF or any(
        given[name].shape != value.shape for name, value in own.items()
    ):
        raise SpecError(
            f"student.init: {folder} is not a student of {teacher.root}. Cure: one with the teacher's shapes."
        )
    return {name: given[name] for name in own}


def _with_pictures(spec: DistillSpec, card: Card) -> Card:
    """The teacher's card; pictures that the teacher has not encoded itself are an ancestor of the student's own."""
    if (spec.teacher / LATENTS).is_file():
        return card
    edge = Lineage("trained_on", spec.captions.name, spec.captions_licence)
    return replace(card, lineage=(*card.lineage, edge))


def _with_start(spec: DistillSpec, card: Card) -> Card:
    """The student that is gone on from hands down what it descends from, as the teacher does."""
    folder = spec.student.init
    if folder is None or not folder.is_dir():
        return card
    given = read_card(folder)
    edge = Lineage("initialised_from", given.name, given.licence or "", digest(folder))
    return replace(card, lineage=tuple(dict.fromkeys((*card.lineage, edge, *given.lineage))))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    if spec.guidance_scale != 1 and not parts.guidable:
        problems.append(
            f"guidance_scale: must be 1 for a teacher without an empty caption (got {spec.guidance_scale:g}). Cure: 1."
        )
    if spec.time.low >= spec.time.high:
        problems.append(f"time.low: must be below time.high (got {spec.time.low:g}, {spec.time.high:g}). Cure: 0.02.")
    if problems:
        raise SpecError(problems)
