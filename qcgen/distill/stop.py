"""When a distillation must go back and when it has ended: pure functions over what was seen."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from qcgen.core.wording import several

WINDOW = 20
"""Student steps that a lasting fault must last."""
_NON_FINITE_STEPS = 3
_NORM_FACTOR = 20.0
_STANDARD_ERRORS, _DEVIATIONS = 4.0, 0.25
_STD_RATIO = (0.6, 1.6)


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One student step: whether all its numbers were finite, the student's gradient norm, and mean and deviation of
    each channel of its samples."""

    step: int
    finite: bool
    grad_norm: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the samples should look like: mean and deviation of each channel, and the standard error of one batch's
    mean."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    standard_error: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One evaluation: a distance (lower is better) with its standard error, and recall where it was measured."""

    step: int
    distance: float
    error: float
    recall: float | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the training must go back, and the first step that the rule looked at: a state from then on may hold the
    trouble already."""

    reason: str
    since: int


class NonFiniteError(Exception):
    """Pictures of the student that hold non-finite numbers; the message says which."""


def find_fault(trace: Sequence[StepFacts], reference: Reference) -> Fault | None:
    """Why the training must go back to its last good state; None while all is well.

    - three steps running that are not finite;
    - `WINDOW` steps running with a gradient norm over 20 times the median before them;
    - a channel whose mean over `WINDOW` steps left the reference by over 4 standard errors and 0.25 deviations;
    - a mean deviation over the channels that stays outside 0.6 to 1.6 times the reference.

    The last two count only once the student has been inside: it starts outside, with the flat pictures of a single
    denoising.
    """
    if len(trace) >= _NON_FINITE_STEPS and not any(facts.finite for facts in trace[-_NON_FINITE_STEPS:]):
        return Fault(f"{_NON_FINITE_STEPS} steps running were not finite", trace[-_NON_FINITE_STEPS].step)
    return _exploding_norm(trace) or _drift(trace, reference)


def looks_back_to(trace: Sequence[StepFacts], step: int) -> int:
    """The first step that `find_fault` may look at when it finds a fault at `step` or later."""
    steps, finite = [facts.step for facts in trace], [facts.step for facts in trace if facts.finite]
    return min([step, *steps[-_NON_FINITE_STEPS:], *finite[-WINDOW:]])


def _exploding_norm(trace: Sequence[StepFacts]) -> Fault | None:
    before = [facts.grad_norm for facts in trace[:-WINDOW] if math.isfinite(facts.grad_norm)]
    if len(before) < WINDOW:
        return None
    usual = statistics.median(before)
    if all(not facts.grad_norm <= _NORM_FACTOR * usual for facts in trace[-WINDOW:]):
        reason = (
            f"the student's gradient norm was over {_NORM_FACTOR:g} times its median ({usual:.3g}) for {WINDOW} steps"
        )
        return Fault(reason, trace[-WINDOW].step)
    return None


def _drift(trace: Sequence[StepFacts], reference: Reference) -> Fault | None:
    finite = [facts for facts in trace if facts.finite]
    if len(finite) < 2 * WINDOW:
        return None
    since = finite[-WINDOW].step
    for channel in range(len(reference.mean)):
        means = [facts.mean[channel] for facts in finite]
        if _left(means, reference, channel):
            mean = statistics.fmean(means[-WINDOW:])
            return Fault(f"the mean of channel {channel} left the reference ({mean:.3g})", since)
    # Over all channels: a single one may well be flat or rough for a while.
    ratios = [statistics.fmean(facts.std) / max(statistics.fmean(reference.std), 1e-12) for facts in finite]
    inside = [_STD_RATIO[0] <= ratio <= _STD_RATIO[1] for ratio in ratios]
    if any(_runs(inside[:-WINDOW])) and not any(inside[-WINDOW:]):
        return Fault(f"the deviation of the samples is {ratios[-1]:.2f} times the reference", since)
    return None


def _left(means: Sequence[float], reference: Reference, channel: int) -> bool:
    # Over WINDOW batches the error of the mean is that of one batch over the root of WINDOW.
    error = reference.standard_error[channel] / math.sqrt(WINDOW)
    bound = max(_STANDARD_ERRORS * error, _DEVIATIONS * reference.std[channel])
    inside = [abs(mean - reference.mean[channel]) <= bound for mean in means]
    off = abs(statistics.fmean(means[-WINDOW:]) - reference.mean[channel])
    return any(_runs(inside[:-WINDOW])) and off > bound


def _runs(inside: Sequence[bool]) -> Sequence[bool]:
    """For each step, whether the last WINDOW / 2 steps were all inside: a lucky batch arms nothing."""
    half = WINDOW // 2
    return [all(inside[end - half : end]) for end in range(half, len(inside) + 1)]


def best_of(evaluations: Sequence[Measured]) -> Measured | None:
    """The evaluation with the smallest distance."""
    return min(evaluations, key=lambda one: one.distance, default=None)


def end_reason(evaluations: Sequence[Measured], *, patience: int, recall_drop: float) -> str | None:
    """Why the training should end here; None while it pays to go on.

    - plateau: `patience` evaluations running, the running mean of the distance has not fallen by more than 1 % or two
      standard errors (of the difference of two evaluations' means), whichever is more;
    - recall guard: recall has fallen by `recall_drop` of its best while the distance is at its best: modes are being
      given away for it.
    """
    if not evaluations:
        return None
    last = evaluations[-1]
    recalls = [one.recall for one in evaluations if one.recall is not None]
    if last.recall is not None and recalls and last is best_of(evaluations) and len(evaluations) > 1:
        fall = 1 - last.recall / max(max(recalls), 1e-12)
        if fall > recall_drop:
            return f"recall fell by {100 * fall:.0f} % of its best while the distance still fell: modes are being lost"
    if _flat(evaluations, patience):
        return f"no improvement over {several(patience, 'evaluation')}"
    return None


def _flat(evaluations: Sequence[Measured], patience: int) -> bool:
    if len(evaluations) <= patience:
        return False
    smooth = [evaluations[0].distance]
    for one in evaluations[1:]:
        smooth.append(0.5 * smooth[-1] + 0.5 * one.distance)
    before = min(smooth[:-patience])
    errors = [one.error for one in evaluations[-patience:]]
    # A running mean with decay 1/2 has a third of the variance of one evaluation; a difference of two has twice that.
    margin = max(0.01 * before, 2 * statistics.fmean(errors) * math.sqrt(2 / 3))
    return min(smooth[-patience:]) > before - margin
