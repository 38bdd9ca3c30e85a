"""One trial of a pilot: trained to a rung's step, measured there, and never made twice."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from pydantic import TypeAdapter
from torch import Tensor

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PausedError
from qcgen.distill.material import Material
from qcgen.distill.stop import NonFiniteError
from qcgen.distill.trainer import Hooks, Trainer
from qcgen.generate.write import sync_folders, write_file
from qcgen.models.checkpoint import load_state, save_state
from qcgen.models.network import Network
from qcgen.pipeline.distill import Ground, fingerprint_of, load_teacher, make_trainer, with_pairs
from qcgen.pipeline.evaluate import Estimate
from qcgen.pipeline.inloop import InLoop
from qcgen.pipeline.material import read_material
from qcgen.pipeline.pilotplan import PilotPlan, Trial
from qcgen.qc.ranking import Measured

METRICS = ("kid", "manifold", "clip_score", "agreement", "diversity", "tone")
SHOWN = ("kid", "recall", "precision", "clip_score", "product_top1", "prompt_diversity", "saturation", "high_frequency")
"""Numbers of these metrics that a pilot keeps."""
_WHOLE = "the last step"
_CHECKPOINTS = "checkpoint*.safetensors"


@dataclass(frozen=True, slots=True)
class Reading:
    """A trial at a rung: its numbers and their repetitions, or why it was lost."""

    steps: int
    lost: str | None
    rollbacks: int
    estimates: Mapping[str, Estimate]
    repeated: Mapping[str, tuple[float, ...]]

    @property
    def measured(self) -> dict[str, Measured]:
        """As the ranking wants them."""
        return {
            name: Measured(one.value, self.repeated[name], one.how, one.real) for name, one in self.estimates.items()
        }


class _Reached(PausedError):  # noqa: N818 (not an error: it ends a training at its rung)
    """The training is at the rung's step, or past its regression."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """A training at its rung, the step at which this start of the program took it up, and why it is lost, if it is."""

    trainer: Trainer
    first: int
    lost: str | None


class Bench:
    """What the trials share: the teacher, its pairs, the regression starts and the measure. Each is made when it is
    first needed, so that a pilot that is done already loads no weights.

    Args:
        check: called between steps and network calls; raises `PausedError` when the work should stop.
        tell: receives the events of the trainings.
        cache: folder of the real pictures' columns.
    """

    def __init__(
        self,
        plan: PilotPlan,
        ground: Ground,
        *,
        device: str,
        check: Callable[[], None],
        tell: Callable[[Mapping[str, object]], None],
        say: Callable[[str], None],
        cache: Path | None,
    ) -> None:
        self.plan, self.device, self._ground, self._cache = plan, device, ground, cache
        self._check, self._tell, self._say = check, tell, say
        self._out = plan.spec.out
        self._common = plan.trials[0].spec.model_copy(update={"out": self._out})

    def stored(self, trial: Trial, rung: int) -> Reading | None:
        """What an earlier start measured."""
        path = self._file(trial, rung)
        return TypeAdapter(Reading).validate_json(path.read_bytes()) if path.is_file() else None

    def read(self, trial: Trial, rung: int) -> tuple[Reading, dict[str, object]]:
        """Train to the rung and measure; the reading is on the disk when this returns.

        Returns:
            The reading, and what it took: `prepare_s` (what all trials share), `train_s` and `evaluate_s` (wall
            seconds), and the `steps` of this start.

        Raises:
            PausedError: a signal asked to stop; a checkpoint was written.
        """
        steps, opened_s = self.plan.steps[rung], time.monotonic()
        # What is made once must not count as a trial's pace.
        measure, start = self._measure, self._start(trial.spec)
        began_s = time.monotonic()
        trained = self._train(trial.spec, stage="matching", step=steps, start=start)
        trainer, lost = trained.trainer, trained.lost
        trained_s = time.monotonic()
        estimates: dict[str, Estimate] = {}
        repeated: dict[str, tuple[float, ...]] = {}
        if lost is None:
            try:
                estimates, repeated = measure.estimate(_generate(trainer, self._check))
            except NonFiniteError as error:
                lost = str(error)
        kept = {name: estimates[name] for name in SHOWN if name in estimates}
        reading = Reading(steps, lost, trainer.guard.retries, kept, {name: repeated[name] for name in kept})
        _write(self._file(trial, rung), reading)
        spent = {"prepare_s": began_s - opened_s, "train_s": trained_s - began_s}
        return reading, {
            **spent,
            "evaluate_s": time.monotonic() - trained_s,
            "steps": trainer.step - trained.first,
        }

    def drop(self, trial: Trial) -> None:
        """Remove what a trial would go on from; its log stays."""
        for path in trial.spec.out.glob(_CHECKPOINTS):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what only trainings need."""
        for trial in self.plan.trials:
            self.drop(trial)

    def _train(
        self, spec: DistillSpec, *, stage: str, step: int, start: Mapping[str, object] | None = None
    ) -> "_Trained":
        """Train until a step of a stage.

        Args:
            start: what a training without a checkpoint begins with.
        """
        began: list[int] = []

        def check() -> None:
            self._check()
            if not began:
                began.append(trainer.step if trainer.stage == stage else 0)
            if trainer.stage == stage and trainer.step >= step:
                raise _Reached("reached")

        spec.out.mkdir(parents=True, exist_ok=True)
        fingerprint, hooks = fingerprint_of(spec, self._ground), Hooks(tell=self._tell, check=check)
        trainer = make_trainer(
            spec, self._ground, self._material, self._teacher, fingerprint=fingerprint, hooks=hooks, device=self.device
        )
        if start is not None and not trainer.checkpoints.exists():
            trainer.take_over(start)
        try:
            reason = trainer.run().reason
        except _Reached:
            reason = _WHOLE
        return _Trained(trainer, began[0] if began else trainer.step, None if reason == _WHOLE else reason)

    def _start(self, spec: DistillSpec) -> Mapping[str, object] | None:
        """What trials begin with: the state after the regression, which depends on where the student lives, and after
        the warm-up, which depends on the fake score's rate too and on nothing else of the grid."""
        start, place = None, str(spec.student.noise_to_signal)
        if spec.pairs.steps:
            start = self._made_once(spec, place, stage="warmup", what="regression")
        if spec.fake.warmup:
            start = self._made_once(spec, f"{place}-{spec.fake.lr}", stage="matching", what="warm-up", start=start)
        if start is None:
            _ = self._material, self._teacher
        return start

    def _made_once(
        self, spec: DistillSpec, name: str, *, stage: str, what: str, start: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """The state in which a training enters a stage, kept in `starts`."""
        path = self._out / "starts" / f"{name}.safetensors"
        if not path.is_file():
            self._say(f"a {what}, once for all trials like it ({name})")
            given = {"student": spec.student, "fake": spec.fake, "out": path.with_suffix("")}
            training = self._train(self._common.model_copy(update=given), stage=stage, step=0, start=start)
            save_state(path, training.trainer.state_dict())
        for spent in path.with_suffix("").glob(_CHECKPOINTS):
            spent.unlink(missing_ok=True)
        return cast(Mapping[str, object], load_state(path))

    @cached_property
    def _own_material(self) -> Material:
        ground = self._ground
        return read_material(self._common, ground.parts, ground.data, device=self.device, check=self._check)

    @cached_property
    def _material(self) -> Material:
        common, device = self._common, self.device
        if not common.pairs.count:
            return self._own_material
        if not (self._out / "pairs.safetensors").is_file():
            self._say(f"{common.pairs.count} pairs by the teacher's solver, once for all trials")
        return with_pairs(common, self._ground, self._own_material, self._teacher, device=device, check=self._check)

    @cached_property
    def _teacher(self) -> Network:
        return load_teacher(self._common, self._ground, device=self.device)

    @cached_property
    def _measure(self) -> InLoop:
        ground = self._ground
        return InLoop(
            self._common,
            ground.parts,
            ground.data,
            self._own_material,
            device=self.device,
            metrics=METRICS,
            cache=self._cache,
        )

    def _file(self, trial: Trial, rung: int) -> Path:
        return trial.spec.out / f"rung-{rung}.json"


def _generate(trainer: Trainer, check: Callable[[], None]) -> Callable[[Tensor, Tensor], Tensor]:
    networks = trainer.networks

    @torch.no_grad()
    def generate(noise: Tensor, cond: Tensor) -> Tensor:
        check()
        return networks.generate(networks.averaged_student, noise, cond)

    return generate


def _write(path: Path, reading: Reading) -> None:
    write_file(path, json.dumps(TypeAdapter(Reading).dump_python(reading, mode="json")).encode("utf-8"))
    sync_folders([path.parent])
