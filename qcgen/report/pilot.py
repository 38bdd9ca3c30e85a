"""The report of a pilot: a page and a table beside `pilot.json`, from it and the ledger's times alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from qcgen.core.events import EVENTS_FILE, Event, read_events, rows_of
from qcgen.core.pilotresult import (
    MATTERS,
    RECOMMENDED_FILE,
    RESULT_FILE,
    PilotResult,
    TrialResult,
    read_result,
)
from qcgen.core.wording import file_name, several
from qcgen.report import words
from qcgen.report.csvout import write_csv
from qcgen.report.html import render_training
from qcgen.report.pilotmeasures import keys_of, measures_of, table_of
from qcgen.report.protocol import (
    Band,
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Facts,
    Figure,
    Link,
    Mark,
    Number,
    Section,
    Table,
    Tile,
)
from qcgen.report.svg import Part, Span, spans, stacked_bar

_LIMITS = (
    ("another training", "Each setting was trained once. With another seed of the training a close order may change."),
    ("the full length", "After a few per cent of the steps a setting may lead that falls behind later."),
    ("other measures", "Only what the encoder sees counts. Look at pictures before a long training."),
    ("their dependence", "Errors of different measures are taken as independent; within a measure they are paired."),
)


def write_pilot_report(folder: Path) -> Path:
    """Write `report.html` and `pilot.csv` beside `pilot.json`; returns the page.

    Raises:
        PrerequisiteError: the folder holds no finished pilot.
        SpecError: `pilot.json` is something else.
    """
    result = read_result(folder)
    log = folder / EVENTS_FILE
    events = read_events(log) if log.is_file() else []
    pages = {one.name for one in result.trials if (folder / "trials" / one.name / "report.html").is_file()}
    subtitle = f"Pilot of {file_name(Path(result.base))} for {result.purpose} in {folder}"
    sections = sections_of(result, events, pages=pages, recommended=folder / RECOMMENDED_FILE)
    page = folder / "report.html"
    text = render_training(f"{result.name}: the pilot", subtitle, sections, source=RESULT_FILE)
    page.write_text(text, encoding="utf-8")
    write_csv(folder / "pilot.csv", *table_of(result))
    return page


def verdict(result: PilotResult) -> str:
    """How sure the recommendation is, in one sentence."""
    winner, chance = result.winner, result.chance
    if winner is None or chance is None:
        return "No trial reached the last rung; nothing is recommended."
    rivals = len([one for one in result.trials if one.behind is not None]) - 1
    if not rivals:
        return "It is the only trial that came to the last rung: nothing was left to compare it with."
    sure = next(said for least, said in _SURE if chance >= least)
    others = f" Not told apart from it: {', '.join(one.name for one in result.tied)}." if result.tied else ""
    return (
        f"{sure}: best for {result.purpose} with probability {words.chance(chance)} among {rivals + 1} trials compared "
        f"at {several(winner.visits[-1].steps, 'step')}.{others}"
    )


_SURE = ((0.95, "Sure"), (0.8, "Likely"), (0.5, "More likely than not"), (0.0, "Not decided"))


def sections_of(
    result: PilotResult, events: Sequence[Event], *, pages: set[str], recommended: Path
) -> tuple[Section, ...]:
    """Every section; those without data say so.

    Args:
        pages: trials that have a page of their own.
        recommended: the job to run.
    """
    return (
        _recommendation(result),
        _next(result, recommended),
        _apart(result),
        _standings(result, pages),
        measures_of(result),
        keys_of(result),
        _rungs(result),
        _lost(result),
        Section(
            "limits", "What it does not know", "The probabilities speak of other pictures only.", (Bullets(_LIMITS),)
        ),
        _time(events),
    )


def _recommendation(result: PilotResult) -> Section:
    winner, chance = result.winner, result.chance
    finalists = [one for one in result.trials if one.behind is not None]
    lost = [one for one in result.trials if one.lost]
    lead = "The setting for a whole distillation, and how sure the pilot is of it."
    tried = several(len(result.trials), "trial")
    of_all = (
        f" of {words.count(result.settings)} settings, drawn at random" if result.settings > len(result.trials) else ""
    )
    if winner is None or chance is None:
        band = Band("bad", "Nothing to recommend", verdict(result), (f"{tried}{of_all}.",), Markup(""), ())
        return Section("recommendation", "Recommendation", lead, (band,))
    shares = [
        Part("good", round(1000 * chance)),
        Part("warn", round(1000 * sum(one.visits[-1].best for one in result.tied))),
    ]
    shares.append(Part("none", max(0, 1000 - sum(part.amount for part in shares))))
    chart = stacked_bar("chances", "Probability of being the best, in thousandths", shares)
    reasons = [f"{winner.name} of {tried}{of_all}."]
    if winner.visits[-1].broken:
        reasons.append(
            f"Every trial compared at the end breaks a guard, it too ({', '.join(winner.visits[-1].broken)}): look at "
            "pictures before you train."
        )
    tiles = (
        Tile(
            "probability of being best",
            words.chance(chance),
            f"of {several(len(finalists), 'trial')} at the end",
            "good",
        ),
        Tile("not told apart", str(len(result.tied)), "other trials", "warn"),
        Tile("thrown away on the way", words.chance(_thrown(result)), "probability that a cut dropped the best"),
        Tile("lost", str(len(lost)), "trials ended by a stop rule"),
    )
    state = "good" if chance >= _SURE[0][0] and not winner.visits[-1].broken else "warn"
    band = Band(state, winner.label, verdict(result), tuple(reasons), chart, tiles)
    return Section("recommendation", "Recommendation", lead, (band,))


def _next(result: PilotResult, recommended: Path) -> Section:
    if result.winner is None:
        lead = "Lower the learning rates or the ratio of the lost trials, or give the base more regression steps."
        return Section("next", "Next", lead, ())
    lead = "The base with this setting and its full budget is a job of its own."
    return Section("next", "Next", lead, (Code("Run it", f"qcgen distill {file_name(recommended)}"),))


def _thrown(result: PilotResult) -> float:
    """Probability that a cut before the last rung dropped the best trial."""
    kept = 1.0
    for cut in result.cuts[:-1]:
        kept *= 1 - min(cut.thrown_away, 1.0)
    return 1 - kept


def _apart(result: PilotResult) -> Section:
    rivals = [one for one in result.trials if one.behind is not None and one.name != result.recommended]
    if not rivals:
        return Section("apart", "Runners-up", "None came to the last rung.", ())
    lead = (
        f"{several(len(result.tied), 'trial')} cannot be told apart from the recommended one at "
        f"{words.count(result.n)} pictures."
        if result.tied
        else "All others are behind by more than two errors."
    )
    columns = (
        Column("trial"), Column("setting"), Column("points behind", True), Column("best with probability", True),
        Column("what would separate them"),
    )  # fmt: skip
    rows = tuple(
        (
            one.name,
            one.label,
            Number(one.behind, words.with_error(one.behind or 0.0, one.behind_error or 0.0)),
            Number(one.visits[-1].best, words.chance(one.visits[-1].best)),
            _separation(one, result),
        )
        for one in rivals
    )
    return Section("apart", "Runners-up", lead, (Table("runners-up", "Against the recommended trial", columns, rows),))


def _separation(one: TrialResult, result: PilotResult) -> str:
    if not one.tied:
        broken = one.visits[-1].broken
        return f"told apart: breaks the guard of {', '.join(broken)}" if broken else "told apart"
    behind, error = one.behind or 0.0, one.behind_error or 0.0
    if behind < MATTERS:
        return "no difference that matters: take either, or give both more steps"
    if one.pictures is not None:
        return f"about {words.count(one.pictures)} pictures (n is {words.count(result.n)}), if the difference is real"
    if behind < 2 * error:
        return "no number of pictures that can be afforded: give both more steps"
    return "a few more pictures: it is behind by two errors only just"


def _standings(result: PilotResult, pages: set[str]) -> Section:
    finalists = [one for one in result.trials if one.behind is not None]
    chart = spans(
        "scores",
        "Score at the last rung",
        [
            Span(
                one.name,
                one.visits[-1].score,
                one.visits[-1].error,
                words.with_error(one.visits[-1].score, one.visits[-1].error),
                "accent" if one.name == result.recommended else "plain",
            )
            for one in finalists
        ],
        reference=0.0,
    )
    keys = list(result.trials[0].setting)
    columns = (
        Column("place", True), Column("trial"), *(Column(words.plain(key)) for key in keys), Column("steps", True),
        Column("score", True), Column("best", True), Column("state"),
    )  # fmt: skip
    rows = tuple(_standing_row(one, result, pages) for one in result.trials)
    weights = ", ".join(f"{words.plain(name)} {weight:.2f}" for name, weight in result.weights.items())
    lead = (
        f"Score: points against the mean trial of the same rung, weighed {weights}. A point is the usual error of a "
        "difference of two trials, or the smallest difference that matters, whichever is larger."
    )
    note = "Scores of different rungs do not compare. Whiskers: two errors."
    table = Table("standings", "All trials, each at its last rung", columns, rows)
    return Section("standings", "Standings", lead, (Figure("Score at the last rung", chart, table, note),))


def _standing_row(one: TrialResult, result: PilotResult, pages: set[str]) -> tuple[Cell, ...]:
    visit = one.visits[-1] if one.visits else None
    name: Cell = Link(one.name, f"trials/{one.name}/report.html") if one.name in pages else one.name
    return (
        Number(one.place, "" if one.place is None else str(one.place)),
        name,
        *one.setting.values(),
        Number(visit.steps if visit else 0, str(visit.steps) if visit else "0"),
        Number(visit.score, words.with_error(visit.score, visit.error)) if visit else Number(None, ""),
        Number(visit.best, words.chance(visit.best)) if visit else Number(None, ""),
        _state(one, result),
    )


def _state(one: TrialResult, result: PilotResult) -> Mark:
    if one.lost:
        return Mark("bad", "lost")
    if one.name == result.recommended:
        return Mark("good", "recommended")
    if one.tied:
        return Mark("warn", "not told apart")
    if one.visits[-1].broken:
        return Mark("bad", f"guard: {', '.join(one.visits[-1].broken)}")
    return Mark("none", "behind" if one.behind is not None else "cut")


def _rungs(result: PilotResult) -> Section:
    columns = (
        Column("rung", True), Column("steps", True), Column("entered", True), Column("went on"),
        Column("probability thrown away", True),
    )  # fmt: skip
    rows = tuple(
        (
            Number(place, str(place)),
            Number(cut.steps, words.count(cut.steps)),
            Number(len(cut.entered), str(len(cut.entered))),
            ", ".join(cut.kept) or "none",
            Number(cut.thrown_away, words.chance(cut.thrown_away)),
        )
        for place, cut in enumerate(result.cuts, start=1)
    )
    lead = (
        f"Successive halving: the last rung is {words.percent(result.budget)} of the base's "
        f"{words.count(result.base_steps)} matching steps. What a cut throws away is the probability, as known then, "
        "that the best was among those cut."
    )
    return Section("rungs", "Rungs", lead, (Table("rungs", "Who went on", columns, rows),))


def _lost(result: PilotResult) -> Section:
    told = [(one.name, f"{one.label}: lost, for {one.lost}") for one in result.trials if one.lost]
    told += [
        (one.name, f"{one.label}: went back {several(one.rollbacks, 'time')} and was slowed down")
        for one in result.trials
        if one.rollbacks and not one.lost
    ]
    blocks: tuple[Block, ...] = (Bullets(tuple(told)),) if told else ()
    lead = "Trials that a stop rule ended or slowed." if told else "No stop rule had to act."
    return Section("lost", "Lost trials", lead, blocks)


def _time(events: Sequence[Event]) -> Section:
    rows = [*rows_of(events, "measured"), *rows_of(events, "lost")]
    pairs = (
        (
            "pairs, starts and real pictures, once for all",
            words.duration(sum(_float(row, "prepare_s") for row in rows)),
        ),
        ("training", words.duration(sum(_float(row, "train_s") for row in rows))),
        ("evaluations", words.duration(sum(_float(row, "evaluate_s") for row in rows))),
        ("resumed", several(len(rows_of(events, "resume")), "time")),
    )
    lead = "From the ledger. What an interrupted start did on its last trial is not in it."
    return Section("time", "Time", lead, (Facts(pairs),))


def _float(row: Mapping[str, object], key: str) -> float:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
