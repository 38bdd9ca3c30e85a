"""A distillation as a job: from a spec and a teacher's folder to a student, an event log and checkpoints."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from qcgen.distill.material import Material
from qcgen.distill.networks import Networks
from qcgen.distill.pairs import make_pairs
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.models.card import digest
from qcgen.models.embedded import pick_dtype
from qcgen.models.families.sd15 import Parts, TextTower, UnetTeacher
from qcgen.models.find import STUDENT_FILE
from qcgen.models.noising import check_start
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.interrupt import listen

_LEAST_PER_BIN = 8
_PAIRS_KEYS = frozenset({"guidance_scale", "pairs.count", "pairs.solver_steps", "seed"})
"""Keys of a job that its pairs depend on."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a distillation stands on before the teacher is loaded.

    Attributes:
        inputs: digests of what it is made from, by name.
        start: the network of `student.init`.
    """

    parts: Parts
    data: ImageSet
    material: Material
    inputs: Mapping[str, object]
    start: UNet2DConditionModel | None = None


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
        SpecError: a mistake in the job, a started distillation without `resume`, or inputs that changed since.
        PrerequisiteError: a part of the teacher is missing.
        PausedError: a signal asked to stop; a checkpoint was written.
    """
    torch.set_num_threads(spec.threads)
    divergence = read_blend(spec.divergence)
    ground = prepare(spec)
    parts = ground.parts
    fingerprint = fingerprint_of(spec, ground)
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
            ground = with_pairs(spec, ground, unet, device=device, check=stop.check)
        teacher = UnetTeacher(unet, parts.schedule, dtype=pick_dtype(spec.optim.precision, device))
        evaluate = None
        if spec.eval.every:
            evaluate = InLoop(spec, parts, ground.data, ground.material, device=device).measure
        say(f"{spec.optim.steps} steps of {divergence.describe()}; events: {spec.out / EVENTS_FILE}")
        hooks = Hooks(tell=tell, check=stop.check, evaluate=evaluate)
        outcome = make_trainer(spec, ground, teacher, fingerprint=fingerprint, hooks=hooks, device=device).run()
    say(f"ended by {outcome.reason}; the student of step {outcome.step} is exported")
    student, t_init = cast(UnetTeacher, outcome.student), start_time(spec, parts)
    export_student(student.unet, parts, spec.out / "student", t_init=t_init, size_px=ground.data.images.shape[-1])
    return spec.out / "student"


def prepare(spec: DistillSpec, *, where: str = "student.noise_to_signal") -> Ground:
    """Find the teacher's parts, read the data and refuse what cannot work.

    Args:
        where: the key that holds the student's place, for messages.

    Raises:
        SpecError, PrerequisiteError: as `run_distillation`.
    """
    parts = Parts.find(spec.teacher)
    t_init = start_time(spec, parts)
    check_start(parts.schedule, t_init, where=where)
    start = _read_start(spec, parts, t_init)
    data = read_image_set(spec.captions)
    material = _read_material(spec, parts, data)
    _check_sizes(spec, material)
    return Ground(parts, data, material, _inputs(spec, parts), start)


def with_pairs(
    spec: DistillSpec, ground: Ground, unet: UNet2DConditionModel, *, device: str, check: Callable[[], None]
) -> Ground:
    """The same ground with the teacher's own samples, made once and kept in `spec.out`."""
    made_from = {key: value for key, value in flat(spec.model_dump(mode="json")).items() if key in _PAIRS_KEYS}
    pairs = make_pairs(
        spec,
        unet,
        ground.parts.schedule,
        ground.material,
        cache=spec.out / "pairs.safetensors",
        made_from=json.dumps({**made_from, **ground.inputs}, sort_keys=True),
        device=device,
        check=check,
    )
    return replace(ground, material=replace(ground.material, pairs=pairs))


def make_trainer(
    spec: DistillSpec,
    ground: Ground,
    teacher: UnetTeacher,
    *,
    fingerprint: Mapping[str, object],
    hooks: Hooks,
    device: str,
) -> Trainer:
    """The training of a job, before its first turn."""
    material = ground.material
    cond_dim, t_init = material.cond.shape[-1], start_time(spec, ground.parts)
    networks = Networks(spec, teacher, cond_dim=cond_dim, t_init=t_init, device=device)
    if ground.start is not None:
        networks.load_student(UnetTeacher(ground.start, ground.parts.schedule, dtype=torch.float32).state_dict())
    return Trainer(spec, networks, material, read_blend(spec.divergence), fingerprint=fingerprint, hooks=hooks)


def start_time(spec: DistillSpec, parts: Parts) -> float:
    """Where the student lives, in the teacher's own time."""
    value = spec.student.noise_to_signal
    return parts.schedule.time_for(float("inf") if isinstance(value, str) else value)


def fingerprint_of(spec: DistillSpec, ground: Ground) -> dict[str, object]:
    """What a distillation is made from: the job's keys and the digests of its inputs."""
    return {**flat(spec.model_dump(mode="json")), **ground.inputs}


def _inputs(spec: DistillSpec, parts: Parts) -> dict[str, object]:
    start = {} if spec.student.init is None else {"student.init weights": digest(spec.student.init)}
    return {
        "teacher weights": digest(parts.root),
        "teacher latents": _sha256(spec.teacher / "latents.safetensors"),
        "captions file": _sha256(spec.captions),
        **start,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_start(spec: DistillSpec, teacher: Parts, t_init: float) -> UNet2DConditionModel | None:
    """The UNet of `student.init`, as the teacher's own class has it."""
    folder = spec.student.init
    if folder is None:
        return None
    facts = folder / STUDENT_FILE
    if not facts.is_file():
        raise PrerequisiteError(
            f"student.init: {facts} is missing. Cure: the folder of a student that qcgen distilled."
        )
    lives_at = json.loads(facts.read_text())["t_init"]
    if lives_at != int(t_init):
        raise SpecError(
            f"student.init: must live at the job's time {int(t_init)} (got {lives_at}). "
            "Cure: the noise_to_signal that it was distilled with."
        )
    unet, wanted = Parts.find(folder).load_unet("cpu"), teacher.load_unet("cpu")
    # The export added an embedding of weight zero, which keeps pipelines from guiding it.
    found = {name: value for name, value in unet.state_dict().items() if name != "time_embedding.cond_proj.weight"}
    shapes = {name: value.shape for name, value in found.items()}
    if shapes != {name: value.shape for name, value in wanted.state_dict().items()}:
        raise SpecError(
            f"student.init: {folder} is not a student of {teacher.root}. Cure: one with the teacher's shapes."
        )
    wanted.load_state_dict(found)
    return wanted


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
