"""A distillation as a job: from a spec and a teacher's folder to a student, an event log and checkpoints."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.events import EVENTS_FILE
from qcgen.core.types import Card, Lineage
from qcgen.core.wording import several
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.distill.blend import read_blend
from qcgen.distill.checkpoint import ENCODER, Checkpoints, flat
from qcgen.distill.material import Material
from qcgen.distill.networks import Networks
from qcgen.distill.pairs import make_pairs
from qcgen.distill.ranks import Ranks
from qcgen.distill.trainer import Generate, Hooks, Outcome, Trainer
from qcgen.govern.protocol import Work
from qcgen.models.card import STUDENT_FILE, digest, read_card
from qcgen.models.embedded import pick_dtype
from qcgen.models.find import resolve_model
from qcgen.models.lora import merged
from qcgen.models.network import Network
from qcgen.models.noising import Schedule, check_start
from qcgen.models.parts import find_parts
from qcgen.models.protocol import ModelParts
from qcgen.pipeline.distillcheck import check_sizes
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.interrupt import listen
from qcgen.pipeline.licence import pass_gate
from qcgen.pipeline.material import LATENTS, read_material
from qcgen.pipeline.publish import declare_student

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
    ranks: Ranks | None = None,
) -> Path:
    """Distil a teacher folder made by `qcgen train` into a one-step student; returns the student's folder.

    Args:
        ranks: the processes that train together; only the first of them says, tells and writes.
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
    ranks = ranks or Ranks()
    with ranks.together():
        divergence = read_blend(spec.divergence)
        ground = prepare(spec, say=say, world=ranks.world)
        fingerprint = fingerprint_of(spec, ground)
    with ExitStack() as held:
        with ranks.together():
            if ranks.first:
                held.enter_context(hold_folder(spec.out, key="out", say=say))
        with ranks.together():
            _check_start(spec, fingerprint, resume=resume)
        say(f"{several(spec.optim.steps, 'step')} of {divergence.describe()}; events: {spec.out / EVENTS_FILE}")
        outcome = _train(spec, ground, ranks, fingerprint=fingerprint, device=device, say=say, tell=tell)
        if ranks.first:
            say(f"ended by {outcome.reason}; the student of step {outcome.step} is exported")
            recipe = f"{several(outcome.step, 'step')} of {divergence.describe()}; ended by {outcome.reason}"
            _export(spec, ground, outcome, recipe)
    return spec.out / "student"


def _train(
    spec: DistillSpec,
    ground: Ground,
    ranks: Ranks,
    *,
    fingerprint: Mapping[str, object],
    device: str,
    say: Callable[[str], None],
    tell: Callable[[Mapping[str, object]], None],
) -> Outcome:
    again = "qcgen distill JOB --resume" if ranks.world == 1 else "the same torchrun command with --resume"
    with listen(again, alone=ranks.world == 1) as stop:
        material, teacher = _load(spec, ground, ranks, device=device, check=stop.check)
        if spec.pairs.count:
            say(f"{several(spec.pairs.count, 'pair')} by the teacher's solver")
            material = with_pairs(spec, ground, material, teacher, device=device, check=stop.check, ranks=ranks)
        with ranks.together():
            evaluate = _measure(spec, ground, material, device=device) if ranks.first else None
        hooks = Hooks(tell=tell, check=stop.check, evaluate=evaluate)
        trainer = make_trainer(
            spec, ground, material, teacher, fingerprint=fingerprint, hooks=hooks, device=device, ranks=ranks
        )
        return trainer.run()


def _check_start(spec: DistillSpec, fingerprint: Mapping[str, object], *, resume: bool) -> None:
    checkpoints = Checkpoints(spec.out, fingerprint)
    if checkpoints.exists() and not resume:
        raise SpecError(
            f"out: {spec.out} holds a started distillation. Cure: --resume to go on with it, or another out."
        )
    if checkpoints.exists():
        checkpoints.load()


def _load(
    spec: DistillSpec, ground: Ground, ranks: Ranks, *, device: str, check: Callable[[], None]
) -> tuple[Material, Network]:
    """What is trained from and the teacher, at every process."""

    def read() -> tuple[Material, Network]:
        material = read_material(spec, ground.parts, ground.data, device=device, check=check)
        return material, load_teacher(spec, ground, device=device)

    loaded = None
    # One after the other: the others find the latents that the first has made.
    for mine in (ranks.first, not ranks.first):
        with ranks.together():
            loaded = read() if mine else loaded
    assert loaded is not None
    return loaded


def _measure(
    spec: DistillSpec, ground: Ground, material: Material, *, device: str
) -> Callable[[Generate], dict[str, float]] | None:
    return InLoop(spec, ground.parts, ground.data, material, device=device).measure if spec.eval.every else None


def _export(spec: DistillSpec, ground: Ground, outcome: Outcome, recipe: str) -> None:
    student = merged(cast(nn.Module, outcome.student))
    ground.parts.write_student(student, spec.out / "student", t_init=start_time(spec, ground.parts))
    declare_student(
        spec.out / "student",
        ground.card,
        teacher_digest=str(ground.inputs["teacher weights"]),
        name=spec.name,
        purpose=spec.purpose,
        notes={"recipe": recipe},
    )


def prepare(
    spec: DistillSpec, *, say: Callable[[str], None], where: str = "student.noise_to_signal", world: int = 1
) -> Ground:
    """Find the teacher's parts, pass the licence gate, read the pictures and refuse what cannot work.

    Args:
        say: receives what the licence gate warns of.
        where: the key that holds the student's place, for messages.
        world: how many processes train together.

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
    check_sizes(spec, parts, data, world)
    return Ground(parts, card, data, _inputs(spec, parts), start)


def load_teacher(spec: DistillSpec, ground: Ground, *, device: str) -> Network:
    """The teacher's network in the job's precision."""
    return cast(Network, ground.parts.load_network(device, dtype=pick_dtype(spec.optim.precision, device)))


def with_pairs(
    spec: DistillSpec,
    ground: Ground,
    material: Material,
    teacher: Network,
    *,
    device: str,
    check: Callable[[], None],
    ranks: Ranks | None = None,
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
        ranks=ranks,
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
    ranks: Ranks | None = None,
) -> Trainer:
    """The training of a job, before its first turn."""
    cond_dim, t_init = material.cond.shape[-1], start_time(spec, ground.parts)
    networks = Networks(spec, teacher, cond_dim=cond_dim, t_init=t_init, device=device, ranks=ranks)
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
