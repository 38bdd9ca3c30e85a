"""All that must hold between the numbers of a distillation's job, its teacher and its pictures before it starts."""

from qcgen.core.distillspec import DistillSpec
from qcgen.core.errors import SpecError
from qcgen.data.imageset import ImageSet
from qcgen.models.protocol import ModelParts

_LEAST_PER_BIN = 8


def check_sizes(spec: DistillSpec, parts: ModelParts, data: ImageSet, world: int) -> None:
    """Refuse what cannot train.

    Args:
        world: how many processes train together.

    Raises:
        SpecError: every number that does not fit the others.
    """
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
    elif spec.optim.batch % (world * spec.optim.accumulate):
        whole = world * spec.optim.accumulate
        less = whole * max(1, spec.optim.batch // whole)
        problems.append(
            f"optim.batch: must be a multiple of processes times optim.accumulate, {world} x {spec.optim.accumulate} "
            f"(got {spec.optim.batch}). Cure: {less} or {less + whole}, or another --nproc_per_node."
        )
    if spec.optim.sharding == "full" and world == 1:
        problems.append(
            "optim.sharding: full must have several processes (got 1). "
            "Cure: torchrun --nproc_per_node 2 -m qcgen.cli.main distill JOB, or sharding: none."
        )
    if spec.optim.sharding == "full" and spec.optim.lora is not None:
        problems.append(
            "optim.sharding: full must be without optim.lora, whose networks share one base (got both). "
            "Cure: sharding: none, for the base is held once anyway."
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
