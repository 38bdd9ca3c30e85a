"""What a distillation job's YAML says."""

import itertools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudentSpec(Frozen):
    """`noise_to_signal` is sigma / alpha where the student lives (2.5: Zhou et al. 2024); `end` is the schedule's last
    step, which v and flow teachers allow even without any signal left.

    `init` is the folder of a student of the same teacher to go on from; without it the student starts as the teacher.
    """

    noise_to_signal: Annotated[float, Field(gt=0.1, le=100)] | Literal["end"] = 2.5
    init: Path | None = None


class NamedSpec(BaseModel):
    """A divergence by name. Keys that are not fields here are its parameters, which `distill.blend` checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = "jensen_shannon"

    @property
    def parameters(self) -> dict[str, object]:
        return self.model_extra or {}


class TermSpec(NamedSpec):
    """One divergence of a mixture; the shares of a mixture sum to 1."""

    name: str
    share: float = Field(gt=0, le=1)


class MixSpec(NamedSpec):
    """A divergence by name, or a mixture: h is the sum of share times h, each h scaled to 1 at r = 1."""

    mix: tuple[TermSpec, ...] = ()

    @model_validator(mode="after")
    def _sums_to_one(self) -> "MixSpec":
        _only_one_of(self, ("name", "mix", "schedule"))
        if "mix" in self.model_fields_set and not self.mix:
            raise ValueError("mix must have at least one entry (got none). Cure: list divergences, each with its share")
        total = sum(term.share for term in self.mix)
        if self.mix and abs(total - 1) > 1e-6:
            cure = ", ".join(f"{term.share / total:.3g}" for term in self.mix)
            raise ValueError(f"mix must have shares that sum to 1 (got {total:g}). Cure: {cure}")
        return self


class PointSpec(MixSpec):
    """What the divergence is at one point of a schedule."""

    at: float = Field(allow_inf_nan=False)


class DivergenceScheduleSpec(Frozen):
    """Divergences along the training's `progress` (0 to 1) or the noise level's `log_snr` (ln alpha^2 / sigma^2).

    Between two points h goes over linearly, so every value between is a mixture; outside them it stays.
    """

    over: Literal["progress", "log_snr"]
    points: tuple[PointSpec, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _in_order(self) -> "DivergenceScheduleSpec":
        at = [point.at for point in self.points]
        if any(left >= right for left, right in itertools.pairwise(at)):
            raise ValueError(f"points must have `at` rising (got {at}). Cure: sort them, each value once")
        if self.over == "progress" and not (at[0] >= 0 and at[-1] <= 1):
            raise ValueError(f"points must have `at` in 0..1 (got {at}). Cure: shares of the training, 1 is its end")
        return self


class DivergenceSpec(MixSpec):
    """Exactly one of `name` (with its parameters), `mix` and `schedule`."""

    schedule: DivergenceScheduleSpec | None = None


def _only_one_of(spec: BaseModel, keys: tuple[str, ...]) -> None:
    given = [key for key in keys if key in spec.model_fields_set]
    if len(given) > 1:
        raise ValueError(f"exactly one of {', '.join(keys)} (got {', '.join(given)}). Cure: keep one of them")


class RatioSpec(Frozen):
    """Density ratio r = p_teacher / p_student from the discriminator, per bin of the noise level.

    `binning`: bins of equal probability under the sampling law, or of equal width in log-SNR. `ema` is the decay of the
    running sums per optimiser step; `prior` samples of r = 1 stand for a bin that has seen nothing. `clip` bounds r.
    """

    bins: int = Field(10, ge=1, le=100)
    binning: Literal["quantile", "log_snr"] = "quantile"
    ema: float = Field(0.98, ge=0, lt=1)
    prior: float = Field(8.0, gt=0)
    clip: tuple[float, float] = (0.1, 20.0)


class GanSpec(Frozen):
    """The discriminator, and the generator's adversarial term.

    `weight` of the term from `start` (share of the steps) on, where the student's rate falls to `student_lr` times its
    own (Yin et al. 2024, DMD2); 0 trains the discriminator for the ratio alone. `width` of its heads: a small network
    wants narrow ones. `r1` is the gradient penalty's gamma, estimated with a perturbation of deviation `r1_sigma`.
    `features` of the frozen teacher or of the fake score.
    `data`: what counts as real: real rows, the pairs that the guided teacher made, or half of each.
    """

    weight: float = Field(3e-3, ge=0)
    start: float = Field(0.5, ge=0, le=1)
    student_lr: float = Field(0.1, gt=0, le=1)
    lr: float = Field(5e-4, gt=0)
    width: int = Field(96, ge=8, multiple_of=8)
    r1: float = Field(2.5e-3, ge=0)
    r1_sigma: float = Field(0.05, gt=0, le=1)
    features: Literal["teacher", "fake"] = "teacher"
    data: Literal["real", "teacher", "both"] = "real"

    def pulls_at(self, progress: float) -> bool:
        """Whether the adversarial term is on (stage B) at this share of the steps."""
        return self.weight > 0 and progress >= self.start


class FakeSpec(Frozen):
    """The fake score: its learning rate, and its updates per student step.

    `auto` starts with `start` updates and follows the measured lag, up to `most`.
    """

    lr: float = Field(4e-4, gt=0)
    updates: Annotated[int, Field(ge=1, le=50)] | Literal["auto"] = "auto"
    start: int = Field(3, ge=1, le=50)
    most: int = Field(10, ge=1, le=50)
    warmup: int = Field(50, ge=0)


class PairsSpec(Frozen):
    """A start from the teacher's own trajectories: the student regresses `count` pairs (noise, x_0) for `steps`
    steps (Yin et al. 2024)."""

    count: int = Field(0, ge=0)
    solver_steps: int = Field(12, ge=4)
    steps: int = Field(0, ge=0)
    lr: float = Field(3e-4, gt=0)


class LoraSpec(Frozen):
    """Student and fake score as low-rank adapters over one set of base weights, which the teacher uses as it is.

    `alpha` / `rank` scales the adapters; `targets` are ends of layers' names, by default the attention's projections.
    """

    rank: int = Field(16, ge=1, le=1024)
    alpha: float = Field(16.0, gt=0)
    targets: tuple[str, ...] | None = Field(None, min_length=1)


class DistillOptim(Frozen):
    """AdamW. `batch` pictures an optimiser step, in `accumulate` equal parts; `ema` is the decay of the averaged
    student.

    `precision`: what the networks compute in; parameters, averages and weights h are float32 always.

    `sharding`: `full` lays every parameter of teacher, fake score, student and its average, and their moments, in parts
    over the processes that `torchrun` started. `compile`: torch.compile of the networks' blocks; `auto` on CUDA only.
    """

    lr: float = Field(1e-4, gt=0)
    batch: int = Field(32, ge=2)
    accumulate: int = Field(1, ge=1)
    steps: int = Field(ge=1)
    warmup: int = Field(50, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(10.0, gt=0)
    ema: float = Field(0.99, ge=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    lora: LoraSpec | None = None
    sharding: Literal["none", "full"] = "none"
    compile: Literal["off", "auto", "on"] = "off"


class TimeSpec(Frozen):
    """Noise levels of the matching: the shares [low, high] of the teacher's own law (DMD2: 2 % to 98 %)."""

    low: float = Field(0.02, ge=0, lt=1)
    high: float = Field(0.98, gt=0, le=1)


class MonitorSpec(Frozen):
    """Student steps between rows of the event log, and between probes that cost extra network calls."""

    every: int = Field(10, ge=1)
    probe_every: int = Field(50, ge=1)


class EvalSpec(Frozen):
    """Every `every` student steps `n` pictures of the averaged student are measured with `clip`; 0: never."""

    every: int = Field(0, ge=0)
    n: int = Field(512, ge=100)
    clip: str = "embedded:clip-apparel"


class StopSpec(Frozen):
    """When to roll back and when to end early.

    At most `retries` roll-backs to the last good checkpoint. `patience` evaluations without improvement end the
    training; so does a fall of recall by `recall_drop` of its best while the distance still falls.
    """

    retries: int = Field(2, ge=0, le=10)
    patience: int = Field(5, ge=5)
    recall_drop: float = Field(0.1, gt=0, lt=1)


class DistillSpec(Frozen):
    """A distillation job: `teacher` is a folder made by `qcgen train`, with its latents, or one in diffusers' format.

    `captions`: the image set; where the teacher has no latents of it, they are made once by the teacher's own
    autoencoder, and `captions_licence` says under which licence the pictures are.

    `purpose`: what the student is for; the licence gate reads it. By default research, which undeclared teachers pass
    with a warning; the student's lineage then still stops commercial pictures.
    """

    version: Literal[1]
    name: str
    purpose: Literal["commercial", "research"] = "research"
    teacher: Path
    out: Path
    guidance_scale: float = Field(2.0, ge=1)
    decoupled: bool = True
    captions: Path
    captions_licence: str = ""
    student: StudentSpec = StudentSpec()
    divergence: DivergenceSpec = DivergenceSpec()
    ratio: RatioSpec = RatioSpec()
    gan: GanSpec = GanSpec()
    fake: FakeSpec = FakeSpec()
    pairs: PairsSpec = PairsSpec()
    optim: DistillOptim
    time: TimeSpec = TimeSpec()
    normaliser: Literal["sample", "batch_bin", "sigma"] = "sample"
    monitor: MonitorSpec = MonitorSpec()
    eval: EvalSpec = EvalSpec()
    stop: StopSpec = StopSpec()
    checkpoint_every: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1)
