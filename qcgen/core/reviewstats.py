"""What the reviewers' answers say: how many defects escape, whether people agree, whether they see planted ones.

Shares come with n and an exact bound, never as a bare number: 0 of 60 is not 0 %.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from scipy.special import betaincinv

from qcgen.core.lastword import Word, verdict_of
from qcgen.core.review import Choice, Decision, Filter, Kind, ReviewStore, State, Task

_PAGE = 2_000


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `n` with its exact bounds.

    Attributes:
        count: how many of the n.
        rate: weighted where the n stand for different numbers; None for n 0.
        low, high: two-sided 95 % (Clopper-Pearson).
        upper: one-sided 95 %: the share that is exceeded at most 5 times in 100.
        n_effective: what n is worth after weighting (Kish); n where all weights are equal.
    """

    count: int
    n: int
    rate: float | None
    low: float
    high: float
    upper: float
    n_effective: float


@dataclass(frozen=True, slots=True)
class Audit:
    """One drawn picture; `bad` is None as long as nobody, or not everybody, has decided."""

    stratum: str
    inclusion_p: float
    bad: bool | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two looks at `n` pictures.

    Attributes:
        both_bad, first_only, second_only, both_good: the four counts.
        raw: share on which they agree.
        kappa: Cohen's; low at a low prevalence, however well people agree, so never to be read alone.
        ac1: Gwet's, which does not collapse there.
        prevalence: mean share of bad ones.
    """

    both_bad: int
    first_only: int
    second_only: int
    both_good: int
    n: int
    raw: float | None
    kappa: float | None
    ac1: float | None
    prevalence: float | None


@dataclass(frozen=True, slots=True)
class Total:
    """Chapman's estimate of all defects from two full passes, with a 95 % interval by the normal approximation."""

    found: int
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Person:
    """How much one person did; `dwell_ms` is the median time on a picture, None without times."""

    reviewer: str
    answers: int
    refused: int
    skipped: int
    dwell_ms: float | None


@dataclass(frozen=True, slots=True)
class ReviewStats:
    """Attributes:
    missed: bad ones among the pictures that passed, from audits; `strata_unseen` are products with no audit decided.
    seeds: planted defects that were refused; `right_code` counts those with the expected reason.
    total: None unless every picture of the queue was looked at twice.
    """

    missed: Share
    audits_open: int
    strata_unseen: tuple[str, ...]
    seeds: Share
    right_code: int
    agreement: Agreement
    total: Total | None
    people: tuple[Person, ...]
    open_tasks: Mapping[str, int]
    open_disputes: int


def share(count: int, n: int) -> Share:
    """An unweighted share."""
    return _share(count, n, count / n if n else None, float(n))


def missed_share(audits: Sequence[Audit]) -> Share:
    """The share of bad pictures among all that passed, from a stratified sample.

    A stratum's weight is the number of pictures it stands for, over those decided in it. With unequal weights the
    bounds are those of Korn and Graubard: Clopper-Pearson at the effective n.
    """
    decided = [one for one in audits if one.bad is not None]
    drawn, seen = Counter(one.stratum for one in audits), Counter(one.stratum for one in decided)
    weights = [drawn[one.stratum] / one.inclusion_p / seen[one.stratum] for one in decided]
    if not decided:
        return _share(0, 0, None, 0.0)
    whole = sum(weights)
    rate = sum(weight for weight, one in zip(weights, decided, strict=True) if one.bad) / whole
    effective = min(float(len(decided)), whole**2 / sum(weight**2 for weight in weights))
    return _share(sum(one.bad is True for one in decided), len(decided), rate, effective)


def _share(count: int, n: int, rate: float | None, effective: float) -> Share:
    if rate is None:
        return Share(count, n, None, 0.0, 1.0, 1.0, 0.0)
    hits = rate * effective
    low = 0.0 if count == 0 else float(betaincinv(hits, effective - hits + 1, 0.025))

    def bound(level: float) -> float:
        return 1.0 if count == n else float(betaincinv(hits + 1, effective - hits, level))

    return Share(count, n, rate, low, bound(0.975), bound(0.95), effective)


def agreement(pairs: Iterable[tuple[bool, bool]]) -> Agreement:
    """Of two looks, True for bad."""
    cells = Counter(pairs)
    both, first, second, none = (cells[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    n = both + first + second + none
    if not n:
        return Agreement(0, 0, 0, 0, 0, None, None, None, None)
    raw = (both + none) / n
    one, two = (both + first) / n, (both + second) / n
    prevalence = (one + two) / 2
    by_chance = one * two + (1 - one) * (1 - two)
    kappa = None if by_chance == 1 else (raw - by_chance) / (1 - by_chance)
    by_chance = 2 * prevalence * (1 - prevalence)
    return Agreement(both, first, second, none, n, raw, kappa, (raw - by_chance) / (1 - by_chance), prevalence)


def chapman(both: int, first_only: int, second_only: int) -> Total:
    """All defects there are, from those that two independent passes found: (n1 + 1)(n2 + 1) / (m + 1) - 1."""
    one, two = both + first_only, both + second_only
    estimate = (one + 1) * (two + 1) / (both + 1) - 1
    variance = (one + 1) * (two + 1) * (one - both) * (two - both) / ((both + 1) ** 2 * (both + 2))
    found, half = both + first_only + second_only, 1.96 * variance**0.5
    return Total(found, estimate, max(float(found), estimate - half), estimate + half)


def review_stats(desk: ReviewStore, run_id: str | None) -> ReviewStats:
    """Of one run, or of all."""
    tasks = [one for one in _tasks(desk, run_id) if one.state is not State.CANCELLED]
    decisions = list(desk.decisions(run_id))
    standing = [one for one in decisions if not one.withdrawn and one.answer.choice is not Choice.SKIP]
    by_task = {one.answer.task_id: one for one in standing}
    words: dict[tuple[str, str], list[Word]] = {}
    for said in standing:
        answer = said.answer
        word = Word(said.reviewer, said.kind, answer.choice, answer.image_sha256, answer.code)
        words.setdefault((said.run_id, said.image_id), []).append(word)
    audits = [
        (one, Audit(f"{one.run_id} {one.stratum}", one.inclusion_p, _is_bad(one, by_task, words)))
        for one in tasks
        if one.kind is Kind.AUDIT
    ]
    seen = {audit.stratum for _, audit in audits if audit.bad is not None}
    seeds = [(one, by_task[one.id]) for one in tasks if one.kind is Kind.SEED and one.id in by_task]
    hits = [(task, said) for task, said in seeds if said.answer.choice is not Choice.ACCEPT]
    pairs = _pairs(tasks, by_task)
    agreed = agreement(pairs)
    looked_at = sum(one.kind in (Kind.FLAGGED, Kind.AUDIT) for one in tasks)
    twice = agreed.n > 0 and agreed.n == looked_at
    return ReviewStats(
        missed=missed_share([audit for _, audit in audits]),
        audits_open=sum(audit.bad is None for _, audit in audits),
        strata_unseen=tuple(sorted({task.stratum for task, audit in audits if audit.stratum not in seen})),
        seeds=share(len(hits), len(seeds)),
        right_code=sum(task.code == said.answer.code for task, said in hits),
        agreement=agreed,
        total=chapman(agreed.both_bad, agreed.first_only, agreed.second_only) if twice else None,
        people=_people(decisions),
        open_tasks=dict(sorted(Counter(str(one.kind) for one in tasks if one.state is State.OPEN).items())),
        open_disputes=sum(one.kind is Kind.DISPUTE and one.state is State.OPEN for one in tasks),
    )


def _is_bad(
    task: Task, by_task: Mapping[int, Decision], words: Mapping[tuple[str, str], Sequence[Word]]
) -> bool | None:
    if task.id not in by_task:
        return None
    verdict = verdict_of(words.get((task.run_id, task.image_id), ()), task.file_sha256)
    return None if verdict is None else verdict == "reject"


def _pairs(tasks: Sequence[Task], by_task: Mapping[int, Decision]) -> list[tuple[bool, bool]]:
    """First and second look at each picture that has both."""
    first = {(one.run_id, one.image_id): one.id for one in tasks if one.kind in (Kind.FLAGGED, Kind.AUDIT)}
    found = []
    for task in tasks:
        one, two = by_task.get(first.get((task.run_id, task.image_id), 0)), by_task.get(task.id)
        if task.kind is Kind.DOUBLE and one is not None and two is not None:
            found.append((one.answer.choice is not Choice.ACCEPT, two.answer.choice is not Choice.ACCEPT))
    return found


def _people(decisions: Sequence[Decision]) -> tuple[Person, ...]:
    """By name: an order by speed or volume would be a ranking."""
    by_name: dict[str, list[Decision]] = {}
    for one in decisions:
        if not one.withdrawn:
            by_name.setdefault(one.reviewer, []).append(one)
    return tuple(_person(name, said) for name, said in sorted(by_name.items()))


def _person(name: str, said: Sequence[Decision]) -> Person:
    choices = Counter(one.answer.choice for one in said)
    times = [one.answer.dwell_ms for one in said if one.answer.dwell_ms and one.answer.choice is not Choice.SKIP]
    return Person(
        reviewer=name,
        answers=len(said) - choices[Choice.SKIP],
        refused=choices[Choice.REJECT] + choices[Choice.REGENERATE],
        skipped=choices[Choice.SKIP],
        dwell_ms=median(times) if times else None,
    )


def _tasks(desk: ReviewStore, run_id: str | None) -> Iterable[Task]:
    after = 0
    while page := desk.tasks(run_id, only=Filter(), after=after, limit=_PAGE):
        yield from page
        after = page[-1].id
