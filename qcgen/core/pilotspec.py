"""What a pilot job's YAML says."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from qcgen.core.distillspec import DivergenceSpec, Frozen

Purpose = Literal["quality", "balance", "coverage"]
KEYS = ("divergence", "alpha", "noise_to_signal", "gan_weight", "lr_ratio")
"""Keys of a grid, in the order in which settings are counted: the last one changes fastest."""


def _form(value: object) -> str:
    return "name" if isinstance(value, str) else "group"


NamedOrGroup = Annotated[Annotated[str, Tag("name")] | Annotated[DivergenceSpec, Tag("group")], Discriminator(_form)]
_NoiseToSignal = Annotated[float, Field(gt=0.1, le=100)] | Literal["end"]


class GridSpec(Frozen):
    """Values to try; a key that is left out keeps the base's. Every combination is a trial.

    `divergence`: names, or groups as a distillation's `divergence`. `alpha`: members of the alpha family, instead of
    `divergence`. `noise_to_signal`: where the student lives. `gan_weight`: of the adversarial term. `lr_ratio`: the
    fake score's learning rate over the student's.
    """

    divergence: tuple[NamedOrGroup, ...] | None = Field(None, min_length=1, max_length=50)
    alpha: tuple[Annotated[float, Field(ge=-1, le=2)], ...] | None = Field(None, min_length=1, max_length=50)
    noise_to_signal: tuple[_NoiseToSignal, ...] | None = Field(None, min_length=1, max_length=50)
    gan_weight: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(None, min_length=1, max_length=50)
    lr_ratio: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(None, min_length=1, max_length=50)

    @model_validator(mode="after")
    def _can_be_counted(self) -> "GridSpec":
        if self.divergence is not None and self.alpha is not None:
            raise ValueError(
                "exactly one of divergence, alpha (got both). Cure: keep alpha, or list {name: alpha, alpha: 0.5} "
                "among the divergences"
            )
        for key in KEYS:
            values = getattr(self, key) or ()
            twice = [value for place, value in enumerate(values) if value in values[:place]]
            if twice:
                shown = twice[0] if isinstance(twice[0], str | float) else twice[0].model_dump(exclude_unset=True)
                raise ValueError(f"{key} must have each value once (got {shown} again). Cure: remove one")
        if math.prod(map(len, self.axes.values())) < 2:
            raise ValueError("must have at least two settings (got 1). Cure: list two values of one key")
        return self

    @property
    def axes(self) -> dict[str, tuple[object, ...]]:
        """The values of every key that is given."""
        return {key: values for key in KEYS if (values := getattr(self, key)) is not None}


class PilotSpec(Frozen):
    """A pilot: which setting a whole distillation should have.

    Attributes:
        base: a distillation job, which holds the full budget and all that the grid does not change.
        out: folder of the ledger, the trials, the report and `recommended.yaml`.
        purpose: what the setting is for; decides the score (`qc.ranking`).
        budget: matching steps of the last rung, as a share of the base's.
        rungs: evaluations of a trial that survives them all; one is a plain grid.
        eta: from rung to rung the steps grow by this factor, and one of `eta` trials goes on.
        n: pictures of an evaluation.
        clip: the encoder that measures.
        seed: of sampling, training and evaluation; all trials share it.
        most: trials; a larger grid is sampled without replacement.
    """

    version: Literal[1]
    name: str = Field(min_length=1)
    base: Path
    out: Path
    purpose: Purpose
    grid: GridSpec
    budget: float = Field(0.05, ge=0.02, le=0.05)
    rungs: int = Field(2, ge=1, le=4)
    eta: int = Field(3, ge=2, le=5)
    n: int = Field(512, ge=200)
    clip: str = "embedded:clip-apparel"
    seed: int = Field(0, ge=0)
    most: int = Field(24, ge=2, le=200)
