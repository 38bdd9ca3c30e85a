"""Batches that full memory made smaller: how a run's environment keeps them, and what that means, in words."""

from collections.abc import Mapping

_PREFIX = "batch_cap_"
_MEANING = "Single pixels may differ by a level or two from a start in which larger batches fit."


def cap_key(stage: str) -> str:
    """Key of `RunInfo.environment` whose value is the largest batch that fitted at a stage."""
    return f"{_PREFIX}{stage.replace(' ', '_')}"


def describe_cap(stage: str, *, failed: int, cap: int) -> str:
    """What is said when a batch of `failed` did not fit."""
    return (
        f"memory: batches at {stage} must be smaller to fit (got {failed}): {cap} from now on. {_MEANING} "
        f"Cure, for the same bytes on every start: engine.batch_size: {cap} with engine.exact: true."
    )


def describe_caps(environment: Mapping[str, str]) -> str:
    """The smallest batches of a whole run; empty where memory was enough."""
    caps = [
        f"{key.removeprefix(_PREFIX).replace('_', ' ')} {value}"
        for key, value in sorted(environment.items())
        if key.startswith(_PREFIX)
    ]
    return f"Memory made batches smaller ({', '.join(caps)}). {_MEANING}" if caps else ""
