"""Gates on a run's whole distribution: variety, drift, trend over nights, and the sample that people look at."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from qcgen.core.control import BASELINE
from qcgen.core.job import Alarm, GateSpec, ReviewSpec
from qcgen.core.store import Store
from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity
from qcgen.core.wording import part_of, several
from qcgen.qc.acceptance import Drawn, Plan, draw_sample, plan_for
from qcgen.qc.drift import FEWEST_SCORES, LEVEL, mmd_p_value, pair, sameness, shifted_scores, trend, variety
from qcgen.qc.embeddings import Embeddings
from qcgen.qc.policy import Policy

COLLAPSE = "gate_collapse"
DRIFT = "gate_drift"
EMBEDDINGS = "gate_embeddings"
TREND = "gate_trend"
SAMPLING = "gate_sampling"
UNSCORED = "gate_unscored"
FEWEST = 50
"""Pictures below which a batch says too little of its variety."""
MOST = 1000
"""Pictures that are compared; of more, this many are drawn."""

MOST_AUDITED = 300
AUDITED_SHARE = 0.05
"""Of the accepted pictures, and at most MOST_AUDITED of them: what `review.audit_sample: auto` draws."""

Decisions = Mapping[str, str]
"""`accept` or `reject` by image id."""


@dataclass(slots=True)
class Survey:
    """What the gates need of a run's standing rows.

    Attributes:
        values: of each detector, over the pictures that may be delivered (not rejected, not failed).
        unscored: how many of these a detector had no value for, by detector and reason.
        shown: ids of those pictures.
        passed: the accepted ones with their strata, among which the sample is drawn: also those that people had
            replaced since, and none that was made in place of another. A bad one that was found stays in the sample.
        decisions: what people said of pictures.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    unscored: dict[str, Counter[str]] = field(default_factory=dict)


def survey(
    rows: Iterable[Row], decisions: Decisions | None = None, *, replacements: Mapping[str, str] | None = None
) -> Survey:
    """One pass over the standing rows, and those that were replaced.

    Args:
        decisions: of people, beside those stored; these win.
        replacements: pictures made because a person asked for them, by the id of the one that was refused.
    """
    found = Survey(decisions=dict(decisions or {}))
    replaced = replacements or {}
    asked_for = frozenset(replaced.values())
    for row in rows:
        add_to_survey(found, row, replaced=replaced.keys(), asked_for=asked_for)
    return found


def add_to_survey(found: Survey, row: Row, *, replaced: Set[str], asked_for: Set[str]) -> None:
    """One row; `replaced` are the ids that people had replaced, `asked_for` those made in their place."""
    if row.decision is not None:
        found.decisions.setdefault(row.image_id, row.decision)
    stays = row.current or row.image_id in replaced
    if row.outcome is Outcome.ACCEPT and stays and row.image_id not in asked_for:
        found.passed[row.image_id] = stratum_of(row)
    if row.current and row.outcome in (Outcome.ACCEPT, Outcome.REVIEW):
        found.shown.append(row.image_id)
        for name, value in row.measures.items():
            found.values.setdefault(name, []).append(value)
        for name, why in row.unscored.items():
            found.unscored.setdefault(name, Counter())[why] += 1


def survey_run(store: Store, run_id: str, decisions: Decisions | None = None) -> Survey:
    """The survey of a stored run."""
    replacements = store.review.replacements(run_id)
    rows = store.rows(run_id, every_attempt=bool(replacements))
    return survey(rows, decisions, replacements=replacements)


def stratum_of(row: Row) -> str:
    """The group that samples are drawn in proportion to."""
    return row.fields.get("product", "")


def judge_batch(
    run: RunInfo,
    seen: Survey,
    policy: Policy,
    gate: GateSpec,
    history: Sequence[RunInfo],
    *,
    review: ReviewSpec,
    own: Callable[[], Embeddings | None],
    reference: Callable[[], Embeddings | None],
) -> tuple[Finding, ...]:
    """One finding a gate that is not off: `block` or `warn` (as the job says) where it alarms, else `info`.

    Args:
        history: earlier runs of the same job, newest first.
        review: how many accepted pictures people look at.
        own, reference: embeddings of the run, and of pictures that are as they should be.
    """
    found: list[Finding] = []
    if gate.drift != "off":
        found.append(_drift(seen, policy, gate.drift))
    if gate.collapse != "off" or gate.drift != "off":
        found += _of_embeddings(run, seen, gate, own(), reference)
    if gate.trend != "off":
        found.append(_trend(run, seen, policy, gate.trend, history))
    if gate.sampling is not None:
        found.append(judge_sample(seen, sample_of(run.run_id, seen, gate, review), plan_of(gate, len(seen.passed))))
    return (*found, *_unscored(seen, policy))


def _unscored(seen: Survey, policy: Policy) -> list[Finding]:
    """Which of the policy's detectors said nothing, of how many pictures and why; nothing where all spoke."""
    told, unseen = [], False
    for rule in policy.rules:
        silent = len(seen.shown) - len(seen.values.get(rule.detector, ()))
        if rule.importance > 0 and silent:
            known = seen.unscored.get(rule.detector, Counter())
            reasons = [why.replace("_", " ") for why in sorted(known)]
            reasons += ["not measured by this run"] * (silent > known.total())
            reasons += ["required: a person looks"] * rule.required
            told.append(f"{rule.detector} has no value for {silent} ({', '.join(reasons)})")
            unseen = unseen or not rule.required
    if not told:
        return []
    passes = ". What only these find passes unseen where nobody looks" * unseen
    what = f"of {several(len(seen.shown), 'picture')}, {'; '.join(told)}{passes}"
    return [_unknown(UNSCORED, what)]


def sample_of(run_id: str, seen: Survey, gate: GateSpec, review: ReviewSpec) -> list[Drawn]:
    """The accepted pictures that people should look at; the same ones whenever it is asked.

    As many as `review.audit_sample` says, and no fewer than `qc.gate.sampling` needs, which uses the first of them.
    """
    lot = len(seen.passed)
    share = max(math.ceil(AUDITED_SHARE * lot), len(set(seen.passed.values())))
    wanted = min(MOST_AUDITED, share) if review.audit_sample == "auto" else review.audit_sample
    least = None if gate.sampling is None else plan_of(gate, lot).n
    return draw_sample(run_id, seen.passed, min(lot, max(wanted, least or 0)), least=least)


def judge_sample(seen: Survey, drawn: Sequence[Drawn], plan: Plan) -> Finding:
    """The gate on the first `plan.n` of the drawn pictures."""
    ids = [one.image_id for one in drawn[: plan.n]]
    said = [seen.decisions[one] for one in ids if one in seen.decisions]
    bad = said.count(Outcome.REJECT.value)
    evidence = {"n": str(len(ids)), "accept": str(plan.accept), "looked_at": str(len(said))}
    head = f"{len(said)} of the {several(len(ids), 'accepted picture')} to look at decided, {bad} of them bad"
    value, limit = float(bad), float(plan.accept)
    if bad > plan.accept:
        message = f"{head}; more than the {plan.accept} that the plan allows: the batch is not accepted."
        return Finding(SAMPLING, Severity.BLOCK, message, value, limit, evidence)
    if len(said) < len(ids):
        message = f"{head}; {plan.accept} may be. Cure: qcgen review, then qcgen judge."
        return Finding(SAMPLING, Severity.INFO, message, value, None, evidence)
    return Finding(SAMPLING, Severity.INFO, f"{head}; {plan.accept} may be: accepted.", value, limit, evidence)


def plan_of(gate: GateSpec, lot: int) -> Plan:
    how = gate.sampling
    if how is None or how.n is None or how.accept is None:
        return plan_for(lot, (how.aql if how else None) or 2.5)
    return Plan(min(how.n, lot), how.accept)


def _alarm(kind: str, wrong: bool, how: Alarm, message: str, value: float, limit: float, **facts: str) -> Finding:
    red = Severity.BLOCK if how == "block" else Severity.WARN
    return Finding(kind, red if wrong else Severity.INFO, message, value, limit, facts)


def _unknown(kind: str, why: str, **facts: str) -> Finding:
    return Finding(kind, Severity.INFO, f"Not checked: {why}.", None, None, facts)


def _drift(seen: Survey, policy: Policy, how: Alarm) -> Finding:
    reference = {rule.detector: rule.reference for rule in policy.rules if rule.reference is not None}
    badness = {rule.detector: rule.badness for rule in policy.rules}
    batch = {name: [badness[name](one) for one in seen.values.get(name, ())] for name in reference}
    tests = shifted_scores(batch, reference)
    if not tests:
        few = f"fewer than {FEWEST_SCORES} scores of each detector to compare"
        return _unknown(DRIFT, few if reference else "no calibration to compare scores with")
    limit = LEVEL / len(tests)
    moved = sorted((p, name, d) for name, (d, p) in tests.items() if p < limit)
    told = "; ".join(f"{name} (D {d:.3f}, p {p:.2g})" for p, name, d in moved)
    smallest = min(p for _, p in tests.values())
    message = f"{several(len(tests), 'detector')} against the calibration: " + (
        f"moved: {told}." if moved else f"none moved (smallest p {smallest:.2g})."
    )
    return _alarm(DRIFT, bool(moved), how, message, smallest, limit)


def _of_embeddings(
    run: RunInfo,
    seen: Survey,
    gate: GateSpec,
    own: Embeddings | None,
    reference: Callable[[], Embeddings | None],
) -> list[Finding]:
    kinds = [(COLLAPSE, gate.collapse), (EMBEDDINGS, gate.drift)]
    kinds = [(kind, how) for kind, how in kinds if how != "off"]
    if own is None:
        return [_unknown(kind, "the run kept no embeddings") for kind, _ in kinds]
    known = reference()
    if known is None:
        why = "no earlier run and no calibration with embeddings to compare with yet"
        return [_unknown(kind, why) for kind, _ in kinds]
    seed = int(hashlib.sha256(run.run_id.encode()).hexdigest()[:8], 16)
    prompts = set(known.prompts)
    mine = own.only(seen.shown)
    ids = [one for one, prompt in zip(mine.ids, mine.prompts, strict=True) if prompt in prompts]
    if len(ids) < max(FEWEST, len(mine.ids) / 2):
        why = f"only {part_of(len(ids), len(mine.ids), 'picture', 'has', 'have')} prompts that the reference knows"
        if len(mine.ids) < FEWEST:
            are = "is" if len(mine.ids) == 1 else "are"
            why = f"{several(len(mine.ids), 'picture')} {are} too few, {FEWEST} are needed"
        return [_unknown(kind, why) for kind, _ in kinds]
    rng = np.random.default_rng(seed)
    batch = mine.only([ids[place] for place in sorted(rng.permutation(len(ids))[:MOST].tolist())])
    judged = {COLLAPSE: _collapse, EMBEDDINGS: _moved}
    return [judged[kind](batch, known, seed, how) for kind, how in kinds]


def _collapse(batch: Embeddings, known: Embeddings, seed: int, how: Alarm) -> Finding:
    """Too little variety over all prompts, or within each: either alone misses the other."""
    score, limit = variety(batch.vectors, batch.prompts, known.vectors, known.prompts, seed=seed)
    alike = sameness(batch.vectors, batch.prompts, known.vectors, known.prompts, seed=seed)
    message = (
        f"{len(batch.ids)} pictures count as {score:.1f} different ones (Vendi score); {limit:.1f} is the lower half "
        "per cent of the reference with the same prompts."
    )
    if alike is None:
        return _alarm(COLLAPSE, score < limit, how, message, score, limit)
    message += f" Two pictures of one prompt have the cosine {alike[0]:.3f} on average; up to {alike[1]:.3f} is usual."
    facts = {"within_prompts": f"{alike[0]:.4f}", "within_prompts_limit": f"{alike[1]:.4f}"}
    if alike[0] > alike[1]:
        return _alarm(COLLAPSE, True, how, message, alike[0], alike[1], **facts)
    return _alarm(COLLAPSE, score < limit, how, message, score, limit, **facts)


def _moved(batch: Embeddings, known: Embeddings, seed: int, how: Alarm) -> Finding:
    ours, theirs = pair(batch.prompts, known.prompts, np.random.default_rng(seed))
    if len(ours) < FEWEST:
        return _unknown(EMBEDDINGS, f"only {several(len(ours), 'picture')} can be paired with the reference's")
    p = mmd_p_value(batch.vectors[ours], known.vectors[theirs], seed=seed)
    message = f"Embeddings of {len(ours)} pictures and as many of the reference: p {p:.3f} (MMD, 200 permutations)."
    return _alarm(EMBEDDINGS, p <= LEVEL, how, message, p, LEVEL)


def _trend(run: RunInfo, seen: Survey, policy: Policy, how: Alarm, history: Sequence[RunInfo]) -> Finding:
    """Medians travel in the finding's evidence, which is where the next night reads them."""
    now = {name: median(values) for name, values in sorted(seen.values.items()) if values}
    facts = {name: repr(value) for name, value in now.items()}
    past = [
        gate.evidence
        for night in reversed(history)
        if night.status == "complete" and night.model_digest == run.model_digest
        for gate in night.gates
        if gate.kind == TREND
    ]
    nights = {name: [float(one[name]) for one in past if name in one] for name in now}
    charted = {rule.detector for rule in policy.rules if rule.importance > 0}
    charts = {
        name: chart for name, value in now.items() if name in charted and (chart := trend([*nights[name], value]))
    }
    if not charts:
        seen_nights = max((len(values) for values in nights.values()), default=0)
        why = f"the medians' chart still learns what is normal ({seen_nights} of {BASELINE} earlier runs of this model)"
        return _unknown(TREND, why, **facts)
    beyond = {name: gap / limit if limit else float(gap > 0) * 2 for name, (gap, limit) in charts.items()}
    worst = max(beyond, key=lambda name: beyond[name])
    off = sorted(name for name, one in beyond.items() if one > 1)
    told = f"beyond it: {', '.join(off)}" if off else f"nearest to it: {worst}"
    message = (
        f"Medians of {several(len(charts), 'detector')} against their first {BASELINE} nights' control limit "
        f"(EWMA); {told}."
    )
    return _alarm(TREND, bool(off), how, message, beyond[worst], 1.0, **facts)
