"""The distillation loop: stages, monitor, rules, checkpoints and exact resume around the steps of `critics` and
`student`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.clock import Clock
from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import PausedError
from qcgen.core.events import EVENTS_FILE, EventLog
from qcgen.distill.checkpoint import BestStudents, Checkpoints
from qcgen.distill.critics import fake_loss, update_critics
from qcgen.distill.guard import Guard, read_evaluations
from qcgen.distill.lag import LagController, Probe
from qcgen.distill.material import CriticBatch, Material, Sampler, StudentBatch
from qcgen.distill.monitor import agreement, sample_numbers, step_facts, yardstick_of
from qcgen.distill.networks import Networks
from qcgen.distill.pairs import regress
from qcgen.distill.randomstate import random_state, set_random_state
from qcgen.distill.ratio import RatioEstimator
from qcgen.distill.stop import Fault, Measured, NonFiniteError, best_of
from qcgen.distill.student import StudentReport, Weighting, update_student
from qcgen.models.protocol import Teacher

Generate = Callable[[Float[Tensor, "b c h w"], Float[Tensor, "b k d"]], Float[Tensor, "b c h w"]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the loop asks of those above it.

    Attributes:
        tell: receives every event that is logged, for a live view.
        check: called between steps; raises `PausedError` when the work should stop.
        evaluate: measures the averaged student from a function that makes its latents: `distance`, `error` and, if
            measured, `recall`; lower distances are better. More numbers are logged as they are. Raises `NonFiniteError`
            where its pictures are not finite.
    """

    tell: Callable[[Mapping[str, object]], None]
    check: Callable[[], None]
    evaluate: Callable[[Generate], dict[str, float]] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The student to export, the step it comes from, and why the training ended."""

    student: Teacher
    step: int
    reason: str


class Trainer:
    """Stages: `pairs` (regression on the teacher's solutions), `warmup` (critics alone), `matching`.

    `mark` counts the loop's turns over all stages; the event log and the checkpoints name it.

    Where several processes train together (`networks.ranks`), each draws whole batches and takes its part; the first
    one alone evaluates, writes and tells, and all decide the same from the same numbers.
    """

    def __init__(
        self,
        spec: DistillSpec,
        networks: Networks,
        material: Material,
        weighting: Weighting,
        *,
        fingerprint: Mapping[str, object],
        hooks: Hooks,
    ) -> None:
        self.spec, self.networks, self.material, self.weighting, self.hooks = spec, networks, material, weighting, hooks
        self.clock, self.ranks = Clock(), networks.ranks
        self.generator = torch.Generator().manual_seed(spec.seed)
        self.sampler = Sampler(spec, material, networks.teacher.noising, self.generator, device=networks.device)
        self.ratio = RatioEstimator(spec.ratio)
        self.lag = LagController(spec.fake)
        self.guard = Guard(spec.stop)
        self.checkpoints = Checkpoints(spec.out, fingerprint)
        self.log = EventLog(spec.out / EVENTS_FILE)
        # The solver's few guided steps give flat pictures: they are the measure only where nothing real is aimed at.
        guided = material.pairs.x_0 if material.pairs and spec.gan.data == "teacher" else None
        aim = material.latents.flatten(0, 1) if guided is None else guided
        self.yardstick = yardstick_of(aim, batch=spec.optim.batch)
        self.stage = "pairs" if spec.pairs.steps else "warmup"
        self.step = self.mark = self._saved_mark = 0
        self.reason = ""
        self._best_students = BestStudents(spec.out)
        self._evaluates = self.ranks.told(hooks.evaluate is not None)
        self._told: dict[str, float] = {}
        self._told_s = time.monotonic()

    def run(self) -> Outcome:
        """Train to the end, from the last checkpoint if there is one.

        Raises:
            SpecError: the checkpoint was made from another job or other weights.
            PausedError: as `hooks.check` raised it, at whichever process; a checkpoint was written.
        """
        together = {"processes": self.ranks.world} if self.ranks.world > 1 else {}
        if self.ranks.told(self.checkpoints.exists()):
            with self.ranks.together():
                state = self.checkpoints.load()
            self._restore(state)
            self._event("resume", together)
        else:
            size = {"steps": self.spec.optim.steps, "parameters": self.networks.parameters()}
            self._event("start", {**size, **together})
        while self.stage != "done":
            try:
                self.ranks.check(self.hooks.check)
            except PausedError:
                # Saving a state twice would push the one before it out.
                if self.mark != self._saved_mark or not self.ranks.told(self.checkpoints.exists()):
                    self.save()
                raise
            self.turn()
        return self._outcome()

    def turn(self) -> None:
        """One turn of the present stage: a student step with its critic updates in `matching`."""
        turns = {"pairs": self._pairs_turn, "warmup": self._warmup_turn, "matching": self._matching_turn}
        before = self.stage
        turns[self.stage]()
        self.mark += 1
        # At the border of two stages as well: there is always a state to go back to.
        due = self.mark % self.spec.checkpoint_every == 0 or self.stage != before
        # A roll-back has just saved this mark; saving it again would push it over the one before.
        if due and self.mark != self._saved_mark:
            self.save()

    def _pairs_turn(self) -> None:
        numbers = regress(self.spec, self.networks, self.material, self.generator, step=self.step, clock=self.clock)
        if self.step % self.spec.monitor.every == 0:
            self._event("pairs", numbers)
        self.step += 1
        if self.step == self.spec.pairs.steps:
            self.networks.fresh_optimiser("student")
            self.stage, self.step = "warmup", 0

    def _warmup_turn(self) -> None:
        if self.step < self.spec.fake.warmup:
            numbers = self._critics()
            if self.step % self.spec.monitor.every == 0:
                self._event("warmup", numbers)
            self.step += 1
        if self.step >= self.spec.fake.warmup:
            self.stage, self.step = "matching", 0

    def _matching_turn(self) -> None:
        spec, progress = self.spec, self.step / self.spec.optim.steps
        first = self.mark - self.step
        probing = self.step % spec.monitor.probe_every == spec.monitor.probe_every - 1
        numbers, losses = self._critic_rounds(2 if self.lag.adapts else 1, held_out=True) if probing else (
            self._critic_rounds(1, held_out=False)
        )  # fmt: skip
        rate = self._rate(progress)
        self.networks.set_rate("student", rate)
        with self.clock.stage("data"):
            batch = self.ranks.part(self.sampler.student(spec.optim.batch))
            empty = self.sampler.empty(len(batch.noise))
        report = update_student(
            spec,
            self.networks,
            self.ratio,
            batch,
            self.weighting,
            empty=empty,
            progress=progress,
            clock=self.clock,
        )
        with self.clock.stage("monitor"):
            # The student's gradient is cleaned before the backward pass: what was not finite shows in these.
            seen = numbers["fake_loss"] + numbers["d_loss"] + report.numbers["generator_norm"]
            facts = step_facts(report.x_0, step=self.step, grad_norm=report.numbers["grad_norm"], loss=seen)
            fault = self.ranks.told(self.guard.fault(facts, self.yardstick.reference))
            if probing:
                numbers |= self._probe(report, batch, losses)
            if probing or self.step % spec.monitor.every == 0 or self.step + 1 == spec.optim.steps:
                samples = sample_numbers(report.x_0, self.yardstick)
                self._event("step", {"rate": rate, **numbers, **report.numbers, **samples, **self._state_numbers()})
        if fault is not None:
            self._go_back(fault, before=first + fault.since)
            return
        self.step += 1
        ended = self._evaluated()
        if isinstance(ended, Fault):
            self._go_back(ended, before=first + ended.since)
            return
        if self.step == spec.optim.steps:
            ended = "the last step"
        if ended is not None:
            self.stage, self.reason = "done", ended

    def _critic_rounds(self, rounds: int, *, held_out: bool) -> tuple[dict[str, float], list[float]]:
        """Rounds of critic updates; the first update's denoising loss is on samples that the fake score never saw, and
        `held_out` measures one more batch before the first round and after each."""
        with self.clock.stage("data"):
            probe = self._draw_critic() if held_out else None
        losses = [] if probe is None else [self._held_out_loss(probe)]
        fresh: dict[str, float] | None = None
        numbers: dict[str, float] = {}
        for _ in range(rounds):
            for _ in range(self.lag.updates):
                numbers = self._critics()
                fresh = fresh or numbers
            if probe is not None:
                losses.append(self._held_out_loss(probe))
        return {**numbers, "fresh_fake_loss": (fresh or numbers)["fake_loss"]}, losses

    @torch.no_grad()
    def _held_out_loss(self, batch: CriticBatch) -> float:
        with self.clock.stage("monitor"):
            x_0 = self.networks.generate(self.networks.student, batch.noise, batch.cond)
            return self.ranks.means([fake_loss(self.networks, batch, x_0).item()])[0]

    def _critics(self) -> dict[str, float]:
        with self.clock.stage("data"):
            batch = self._draw_critic()
        numbers = update_critics(self.spec, self.networks, self.ratio, batch, clock=self.clock)
        return dict(zip(numbers, self.ranks.means([value.item() for value in numbers.values()]), strict=True))

    def _draw_critic(self) -> CriticBatch:
        return self.ranks.part(self.sampler.critic(self.spec.optim.batch))

    def _probe(self, report: StudentReport, batch: StudentBatch, losses: list[float]) -> dict[str, float]:
        """Lag and agreement: what needs network calls beyond the step's own."""
        with torch.no_grad():
            after = self.ranks.gather(self.networks.generate(self.networks.student, batch.noise, batch.cond))
            moved = report.x_0 - after
            rate = float((moved * report.direction).sum() / report.direction.square().sum().clamp(min=1e-12))
        if len(losses) == 3:
            self.lag.observe(Probe((losses[0], losses[1], losses[2]), rate))
        found = {"held_out_drop": 1 - losses[1] / losses[0], "student_rate": rate}
        cosine = agreement(self.networks, batch, self.ranks.part(report.x_0))
        return {**found, "score_cosine": self.ranks.means([cosine])[0]}

    def _state_numbers(self) -> dict[str, object]:
        return {
            "fake_updates": self.lag.updates,
            "fake_beta": self.lag.beta,
            "ratio": self.ratio.table(),
        }

    def _rate(self, progress: float) -> float:
        """Linear warm-up; in stage B a fraction; halved by each roll-back."""
        spec = self.spec
        stage = spec.gan.student_lr if spec.gan.pulls_at(progress) else 1.0
        return spec.optim.lr * min(1.0, (self.step + 1) / max(spec.optim.warmup, 1)) * stage * self.guard.rate_scale

    def _evaluated(self) -> str | Fault | None:
        """Measure the averaged student when it is due, keep it if it is the best; why to end or to go back, if so."""
        every, evaluate = self.spec.eval.every, self.hooks.evaluate
        if not self._evaluates or every == 0 or self.step % every:
            return None
        numbers: dict[str, float] = {}
        broken = ""
        with self.clock.stage("evaluate"), torch.no_grad():
            student = self.networks.whole_student()
            try:
                if evaluate is not None and self.ranks.first:
                    numbers = evaluate(lambda noise, cond: self.networks.generate(student, noise, cond))
            except NonFiniteError as error:
                broken = str(error)
            self.networks.put_away()
            numbers, broken = self.ranks.told((numbers, broken))
        if broken:
            return self.guard.broken_pictures(f"an evaluation failed: {broken}")
        measured = Measured(self.step, numbers["distance"], numbers["error"], numbers.get("recall"))
        best = self.guard.measured(measured)
        if best:
            with self.clock.stage("checkpoint"):
                self._keep_best()
        self._event("evaluation", {**numbers, "best": best})
        return self.guard.end()

    def _keep_best(self) -> None:
        state = self.networks.average_state()
        if self.ranks.first:
            self._best_students.keep(self.step, state)

    def _go_back(self, fault: Fault, *, before: int) -> None:
        """Return to the newest state from before a mark with half the rate and twice the fake updates, or end there."""
        now, updates = self.guard, self.lag.updates
        # Nobody goes on before all have read: the first process is about to write over it.
        with self.ranks.together():
            state = self.checkpoints.load(before=before)
        self.guard = Guard(self.spec.stop)
        self._restore(state)
        now.roll_back(self.guard)
        self.guard = now
        retry = now.retries <= self.spec.stop.retries
        if retry:
            self.lag.updates = updates
            self.lag.double()
        else:
            self.stage, self.reason = "done", f"{fault.reason}, and going back did not help"
        # One turn is added after this, as after every other.
        self.mark -= 1
        facts = {
            "reason": fault.reason,
            "since": fault.since,
            "retry": retry,
            "rate_scale": now.rate_scale,
            "fake_updates": self.lag.updates,
        }
        self._event("rollback", facts, mark=self.mark + 1)
        self.save(mark=self.mark + 1)

    def _outcome(self) -> Outcome:
        # What the first process has just written is read by all.
        self.ranks.barrier()
        best = best_of(self.guard.evaluations)
        step = self.step
        kept = None if best is None else self._best_students.load(best.step)
        if best is not None and kept is not None:
            self.networks.load_average(kept)
            step = best.step
        self._event("end", {"reason": self.reason, "exported_step": step})
        return Outcome(self.networks.whole_student(), step, self.reason)

    def save(self, *, mark: int | None = None) -> None:
        """Write a checkpoint of the state before the next turn; those that a roll-back may need stay beside it."""
        with self.clock.stage("checkpoint"):
            self._saved_mark = self.mark if mark is None else mark
            matching = self.stage in {"matching", "done"}
            first = self._saved_mark - self.step if matching else self._saved_mark
            since = first + self.guard.looks_back_to(self.step) if matching else None
            also = first + self.guard.since_evaluation() if matching and self.spec.eval.every else None
            state = {**self.state_dict(), "mark": self._saved_mark}
            if self.ranks.first:
                self.checkpoints.save(state, since=since, also=also)
                self._drop_students()
        self._event("checkpoint", {}, mark=self._saved_mark)

    def _drop_students(self) -> None:
        """Let go of students that are the best of no checkpoint's history."""
        histories = cast(list[Mapping[str, object]], self.checkpoints.read("guard"))
        best = [best_of(read_evaluations(history)) for history in histories]
        self._best_students.drop_all_but({one.step for one in best if one is not None})

    def take_over(self, start: Mapping[str, object]) -> None:
        """Begin in another training's state, after its regression or its warm-up, at this job's own rates. Before `run`
        only."""
        self._restore(start)
        self.mark = self._saved_mark = 0
        for name, rate in (("student", self.spec.optim.lr), ("fake", self.spec.fake.lr)):
            self.networks.set_rate(name, rate)

    def state_dict(self) -> dict[str, object]:
        """Everything that the next step depends on."""
        return {
            "stage": self.stage,
            "step": self.step,
            "mark": self.mark,
            "reason": self.reason,
            "networks": self.networks.state_dict(),
            "ratio": self.ratio.state_dict(),
            "lag": self.lag.state_dict(),
            "guard": self.guard.state_dict(),
            "generator": self.generator.get_state(),
            **random_state(self.ranks.world),
        }

    def _restore(self, state: Mapping[str, object]) -> None:
        self.stage, self.step = cast(str, state["stage"]), cast(int, state["step"])
        self.mark = self._saved_mark = cast(int, state["mark"])
        self.reason = cast(str, state["reason"])
        self.networks.load_state_dict(cast(dict[str, object], state["networks"]))
        self.ratio.load_state_dict(cast(dict[str, object], state["ratio"]))
        self.lag.load_state_dict(cast(dict[str, object], state["lag"]))
        self.guard.load_state_dict(cast(dict[str, object], state["guard"]))
        self.generator.set_state(cast(Tensor, state["generator"]))
        set_random_state(state, self.ranks.world)

    def _event(self, kind: str, facts: Mapping[str, object], *, mark: int | None = None) -> None:
        now_s = time.monotonic()
        spent = self.clock.seconds()
        split = {name: spent[name] - self._told.get(name, 0.0) for name in spent}
        place = {"stage": self.stage, "step": self.step, "mark": self.mark if mark is None else mark}
        event = {**place, **facts, "seconds": {**split, "wall": now_s - self._told_s}}
        self._told, self._told_s = spent, now_s
        if not self.ranks.first:
            return
        self.log.write(kind, event, time_s=time.time())
        self.hooks.tell({"event": kind, **event})
