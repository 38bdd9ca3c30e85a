"""What a generation job's YAML says: frozen, every key named, unknown keys refused. `spec.load_job` reads it from a
file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ItemsSpec(Frozen):
    """The pictures to make: exactly one of `table` (CSV or Parquet), `rows` (inline) and `matrix` (all
    combinations)."""

    table: Path | None = None
    rows: tuple[dict[str, str], ...] | None = None
    matrix: dict[str, tuple[str, ...]] | None = None
    prompt: Text
    images_per_item: int = Field(1, ge=1, le=10_000)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    duplicates: Literal["error", "skip", "keep"] = "error"

    @model_validator(mode="after")
    def _one_source(self) -> "ItemsSpec":
        given = [name for name in ("table", "rows", "matrix") if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) or "none"
            raise ValueError(f"exactly one of table, rows, matrix (got {found}). Cure: keep one of them")
        return self


class OutputSpec(Frozen):
    dir: Path
    format: Literal["png", "jpeg", "webp"] = "png"
    layout: Literal["files"] = "files"


class EngineSpec(Frozen):
    """`exact`: one batch shape and no ladder, so that the same machine gives the same bytes.

    `compile`: torch.compile of the student's network and decoder, for whole batches; `auto` on CUDA only.
    """

    batch_size: int | Literal["auto"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "off", "on"] = "auto"
    executor: Literal["inprocess"] = "inprocess"
    exact: bool = False
    shard_size: int = Field(64, ge=1, le=10_000)

    @model_validator(mode="after")
    def _batch(self) -> "EngineSpec":
        if isinstance(self.batch_size, int) and not 1 <= self.batch_size <= 1024:
            raise ValueError(f"batch_size must be auto or 1..1024 (got {self.batch_size})")
        return self


class ClipSpec(Frozen):
    model: str = "embedded:clip-apparel"


class RetrySpec(Frozen):
    max_attempts: int = Field(3, ge=1, le=10)


Alarm = Literal["off", "warn", "block"]


class SamplingSpec(Frozen):
    """Accepted pictures that people look at: the standard's plan for `aql`, or `n` of which `accept` may be bad."""

    aql: float | None = None
    n: int | None = Field(None, ge=1, le=100_000)
    accept: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_plan(self) -> "SamplingSpec":
        if self.aql not in (None, 1.0, 2.5, 4.0):
            raise ValueError(f"aql must be 1, 2.5 or 4 (got {self.aql:g}). Cure: one of these, or n and accept")
        given = [name for name in ("aql", "n", "accept") if getattr(self, name) is not None]
        if given not in (["aql"], ["n", "accept"]):
            found = ", ".join(given) or "nothing"
            raise ValueError(
                f"must hold aql alone, or n and accept (got {found}). Cure: {{aql: 2.5}} or {{n: 80, accept: 5}}"
            )
        if self.n is not None and self.accept is not None and self.accept >= self.n:
            raise ValueError(f"accept must be less than n (got {self.accept} of {self.n}). Cure: a smaller accept")
        return self


class GateSpec(Frozen):
    """`flag_rate`: spc (needs 20 past runs) or the highest allowed share; `aql` in per cent. `collapse`, `drift` and
    `trend`: what an alarm does. `sampling`: how many accepted pictures people look at."""

    flag_rate: Literal["spc"] | Annotated[float, Field(gt=0, le=1)] = "spc"
    aql: float = Field(2.5, gt=0, le=10)
    collapse: Alarm = "warn"
    drift: Alarm = "warn"
    trend: Alarm = "warn"
    sampling: SamplingSpec | None = None


class QueueSpec(Frozen):
    """`fdr`: the share of false flags that a batch's queue may hold on average; without it each picture is judged
    alone."""

    fdr: float | None = Field(None, gt=0, le=0.5)


class QcSpec(Frozen):
    profile: str = "apparel"
    clip: ClipSpec = ClipSpec()
    retry: RetrySpec = RetrySpec()
    gate: GateSpec = GateSpec()
    queue: QueueSpec = QueueSpec()


class ReviewSpec(Frozen):
    """Shares and counts for the reviewers' sampling plan; recorded with the run."""

    audit_sample: int = Field(300, ge=0)
    double: float = Field(0.1, ge=0, le=1)
    seeds: float = Field(0.05, ge=0, le=1)


class RightsSpec(Frozen):
    owner: str | None = None
    basis: str | None = None


class GovernanceSpec(Frozen):
    rights: RightsSpec = RightsSpec()
    c2pa: Literal["local", "none"] = "none"
    xmp: bool = True
    watermark: Literal["none"] = "none"


class ReportSpec(Frozen):
    formats: tuple[Literal["html", "csv", "parquet"], ...] = ("html", "csv")


class JobSpec(Frozen):
    """A generation job. `model`: `embedded:NAME`, a folder in diffusers format, or a registered student's name."""

    version: Literal[1]
    name: Name
    model: str
    purpose: Literal["commercial", "research"]
    items: ItemsSpec
    output: OutputSpec
    engine: EngineSpec = EngineSpec()
    qc: QcSpec = QcSpec()
    review: ReviewSpec = ReviewSpec()
    governance: GovernanceSpec = GovernanceSpec()
    report: ReportSpec = ReportSpec()
