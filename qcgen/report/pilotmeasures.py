"""The measures of a pilot's trials: their panels, what each key did, and the table for a spreadsheet."""

from collections.abc import Sequence

from qcgen.core.pilotresult import KeyEffect, PilotNumber, PilotResult, TrialResult, Visit
from qcgen.report import words
from qcgen.report.protocol import Cell, Column, Number, Panel, Panels, Section, Table
from qcgen.report.svg import Span, spans

_TITLES = {
    "kid": ("KID", "x 1000, lower is better"),
    "recall": ("Recall", "share of real pictures reached, higher is better"),
    "clip_score": ("CLIP score", "x 100, higher is better"),
    "saturation": ("Saturation", "guard: within a factor of 1.25 of the photos'"),
    "precision": ("Precision", "share of pictures inside the real support"),
    "product_top1": ("Garment named right", "share, higher is better"),
    "prompt_diversity": ("Diversity of a caption", "cosine distance, as photos"),
    "high_frequency": ("Fine texture", "share of the luma's variance, as photos"),
}


def measures_of(result: PilotResult) -> Section:
    finalists = [one for one in result.trials if one.behind is not None]
    shown = [name for name in _TITLES if any(name in one.visits[-1].measures for one in finalists)]
    if not shown:
        return Section("measures", "Measures", "No trial was measured at the last rung.", ())
    panels = tuple(_measure_panel(name, finalists, result) for name in shown)
    names = tuple(_TITLES[name][0] for name in shown)
    columns = (Column("trial"), Column("steps", True), *(Column(name, True) for name in names))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.name, Number(visit.steps, str(visit.steps)), *(_number(visit.measures.get(name)) for name in shown))
        for one in result.trials
        for visit in one.visits
    )
    lead = (
        f"Of {words.count(result.n)} pictures by the averaged student, the same captions and noise for all; dashed: "
        "the photos' own. Differences between trials are known better than the whiskers say, for they are paired."
    )
    table = Table("measures", "Every trial at every rung", columns, rows, folded=True)
    return Section("measures", "Measures at the last rung", lead, (Panels(panels, table),))


def _measure_panel(name: str, finalists: Sequence[TrialResult], result: PilotResult) -> Panel:
    title, note = _TITLES[name]
    there = [(one, one.visits[-1].measures[name]) for one in finalists if name in one.visits[-1].measures]
    rows = [
        Span(
            one.name,
            number.value,
            number.error,
            _number(number).text,
            "accent" if one.name == result.recommended else "plain",
        )
        for one, number in there
    ]
    return Panel(title, spans(f"m-{name}".replace("_", "-"), title, rows, reference=there[0][1].real), note)


def _number(number: PilotNumber | None) -> Number:
    if number is None:
        return Number(None, "")
    return Number(number.value, words.with_error(number.value, number.error, percent=number.unit == "share"))


def keys_of(result: PilotResult) -> Section:
    if not result.effects:
        return Section("keys", "What each key did", "Fewer than two trials were measured at the first rung.", ())
    by_key: dict[str, list[KeyEffect]] = {}
    for effect in result.effects:
        by_key.setdefault(effect.key, []).append(effect)
    columns = (Column("key"), Column("value"), Column("trials", True), Column("mean score", True))
    rows = tuple(
        (
            words.plain(one.key),
            one.value,
            Number(one.trials, str(one.trials)),
            Number(one.score, words.with_error(one.score, one.error)),
        )
        for one in result.effects
    )
    panels = tuple(
        Panel(
            words.plain(key),
            spans(
                f"k-{key}".replace("_", "-"),
                words.plain(key),
                [Span(one.value, one.score, one.error, words.with_error(one.score, one.error)) for one in found],
                reference=0.0,
                label_width=120.0,
            ),
            "mean score of the trials with this value",
        )
        for key, found in by_key.items()
    )
    lead = (
        "At the first rung, where every trial was measured. A key whose values do not differ here may be left as it is."
    )
    table = Table("keys", "Mean score by value", columns, rows)
    return Section("keys", "What each key did", lead, (Panels(panels, table),))


def table_of(result: PilotResult) -> tuple[list[str], list[list[str | float | int | None]]]:
    """Columns and rows of `pilot.csv`: one row a trial and rung; a trial lost at once has one without numbers."""
    keys = list(result.trials[0].setting)
    measures = list(dict.fromkeys(name for one in result.trials for visit in one.visits for name in visit.measures))
    columns = ["trial", "place", *keys, "steps", "score", "score_error", "best", "broken", "rollbacks", "lost"]
    columns += [f"{name}{suffix}" for name in measures for suffix in ("", "_error")]
    rows: list[list[str | float | int | None]] = []
    for one in result.trials:
        for visit in one.visits or (Visit(0, {}, 0.0, 0.0, 0.0),):
            row: list[str | float | int | None] = [one.name, one.place, *one.setting.values(), visit.steps]
            row += [visit.score, visit.error, visit.best] if one.visits else [None, None, None]
            row += [" ".join(visit.broken), one.rollbacks, one.lost or ""]
            for name in measures:
                number = visit.measures.get(name)
                row += [None, None] if number is None else [number.value, number.error]
            rows.append(row)
    return columns, rows
