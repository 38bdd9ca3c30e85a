"""What a distillation job's YAML says."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudentSpec(Frozen):
    """`t_init` is given as sigma / alpha at the step where the student lives (2.5: Zhou et al. 2024)."""

    noise_to_signal: float = Field(2.5, gt=0.1, lt=20)


class DivergenceSpec(Frozen):
    name: str = "jensen_shannon"


class RatioSpec(Frozen):
    """Density ratio r = p_teacher / p_student from the discriminator, in log-SNR quantile bins with running
    statistics."""

    bins: int = Field(10, ge=1, le=100)
    ema: float = Field(0.9, ge=0, lt=1)
    clip: tuple[float, float] = (0.1, 20.0)


class GanSpec(Frozen):
    """`weight` of the generator's adversarial term, from `start` (share of the steps) on; 0 trains the ratio alone."""

    weight: float = Field(3e-3, ge=0)
    start: float = Field(0.5, ge=0, le=1)
    lr: float = Field(5e-4, gt=0)
    r1: float = Field(0.5, ge=0)


class FakeSpec(Frozen):
    """The fake score: its learning rate and its updates per student step."""

    lr: float = Field(4e-4, gt=0)
    updates: int = Field(3, ge=1, le=50)
    warmup: int = Field(50, ge=0)


class PairsSpec(Frozen):
    """A start from the teacher's own trajectories: the student regresses `count` pairs (noise, x_0) for `steps`
    steps (Yin et al. 2024)."""

    count: int = Field(0, ge=0)
    solver_steps: int = Field(12, ge=4)
    steps: int = Field(0, ge=0)
    lr: float = Field(3e-4, gt=0)


class DistillOptim(Frozen):
    lr: float = Field(1e-4, gt=0)
    batch: int = Field(32, ge=2)
    steps: int = Field(ge=1)
    warmup: int = Field(50, ge=0)
    clip_norm: float = Field(10.0, gt=0)
    ema: float = Field(0.99, ge=0, lt=1)


class TimeSpec(Frozen):
    """Steps t of the distribution matching are uniform over [low, high] of the schedule (DMD2: 2 % to 98 %)."""

    low: float = Field(0.02, ge=0, lt=1)
    high: float = Field(0.98, gt=0, le=1)


class DistillSpec(Frozen):
    """A distillation job: `teacher` is a folder made by `qcgen train` (with its latents) or `embedded:NAME`."""

    version: Literal[1]
    name: str
    teacher: Path
    out: Path
    guidance_scale: float = Field(2.0, ge=1)
    decoupled: bool = True
    captions: Path
    student: StudentSpec = StudentSpec()
    divergence: DivergenceSpec = DivergenceSpec()
    ratio: RatioSpec = RatioSpec()
    gan: GanSpec = GanSpec()
    fake: FakeSpec = FakeSpec()
    pairs: PairsSpec = PairsSpec()
    optim: DistillOptim
    time: TimeSpec = TimeSpec()
    normaliser: Literal["sample", "batch", "sigma"] = "sample"
    checkpoint_every: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1)
