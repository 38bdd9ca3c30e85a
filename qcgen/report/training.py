"""The report of a distillation: one page beside its event log, written from that log alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from markupsafe import Markup

from qcgen.core.errors import PrerequisiteError
from qcgen.core.events import EVENTS_FILE, Event, read_events, rows_of, seconds_of
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.html import render_training
from qcgen.report.protocol import Bullets, Column, Facts, Number, Panel, Panels, Section, Table
from qcgen.report.svg import Curve, curves

NETWORKS = ("teacher", "fake", "discriminator", "student", "optimiser")
_STAGES = {
    "teacher": "teacher, with the features for the discriminator",
    "fake": "fake score",
    "discriminator": "discriminator and ratio",
    "student": "student",
    "optimiser": "optimisers and average",
    "data": "data and noise",
    "monitor": "monitor and probes",
    "evaluate": "evaluations",
    "checkpoint": "checkpoints",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a panel: its name, and the key of the number in the events."""

    label: str
    key: str
    look: str = "accent"


def write_training_report(folder: Path, name: str) -> Path:
    """Write `report.html` beside `events.jsonl`.

    Raises:
        PrerequisiteError: the folder holds no event log.
    """
    log = folder / EVENTS_FILE
    if not log.is_file():
        raise PrerequisiteError(f"{log}: missing. Cure: name the `out` folder of a distillation.")
    page = folder / "report.html"
    events = read_events(log)
    subtitle = f"Distillation in {folder} · {several(len(events), 'event')}"
    page.write_text(render_training(f"{name}: the training", subtitle, sections_of(events)), encoding="utf-8")
    return page


def sections_of(events: Sequence[Event]) -> tuple[Section, ...]:
    """Every section; those without data say so."""
    return (
        _outcome(events),
        _measures(events),
        _ratio(events),
        _critics(events),
        _samples(events),
        _time(events),
        _decisions(events),
    )


def time_shares(events: Sequence[Event]) -> dict[str, float]:
    """Seconds per stage over all events, those made again included; what the clock did not see is `other`."""
    spent = seconds_of(events)
    wall = spent.pop("wall", 0.0)
    return {**spent, "other": max(wall - sum(spent.values()), 0.0)}


def _outcome(events: Sequence[Event]) -> Section:
    ends, steps = rows_of(events, "end"), rows_of(events, "step")
    spent = sum(time_shares(events).values())
    again = sum(cast(Mapping[str, float], event.get("superseded", {})).get("wall", 0.0) for event in events)
    backs = len(rows_of(events, "rollback"))
    end = ends[-1] if ends else None
    lead = f"Ended by {end['reason']}." if end else "The training has not ended; the log holds what it did so far."
    facts = [
        ("student steps", words.count(int(_float(steps[-1], "step") or 0) + 1) if steps else "none yet"),
        ("exported student of step", str(end["exported_step"]) if end else "not yet"),
        ("wall time", words.duration(spent)),
        *([("of that, steps made again", words.duration(again))] if again else []),
        ("gone back", several(backs, "time")),
        ("resumed", several(len(rows_of(events, "resume")), "time")),
    ]
    return Section("outcome", "Outcome", lead, (Facts(tuple(facts)),))


def _measures(events: Sequence[Event]) -> Section:
    rows = rows_of(events, "evaluation")
    lead = (
        "Of the averaged student, on the same captions and noise every time. The losses below do not show progress: "
        "judge by these."
        if rows
        else "No evaluation in the loop was asked for (eval.every: 0). The losses below do not show progress: "
        "measure the student with qcgen eval."
    )
    if not rows:
        return Section("measures", "Measures", lead, ())
    panels = (
        _panel(events, "evaluation", "Distance", "lower is better", [_Line("Frechet distance", "distance")]),
        _panel(
            events,
            "evaluation",
            "Precision and recall",
            "recall falls where modes are lost",
            [_Line("recall", "recall"), _Line("precision", "precision", "plain")],
        ),
    )
    table = _table("measures", "Evaluations", rows, ("step", "distance", "error", "precision", "recall", "n"))
    return Section("measures", "Measures", lead, (Panels(panels, table),))


def _ratio(events: Sequence[Event]) -> Section:
    rows = [row for row in rows_of(events, "step") if isinstance(row.get("ratio"), Mapping)]
    lead = (
        "r is teacher over student. For a calibrated discriminator both means are 1 in every bin; where a bin is off, "
        "its weight shrinks to 1, which is reverse KL. The means before normalisation:"
    )
    if not rows:
        return Section("ratio", "Ratio", "No matching step yet.", ())
    spread = [{"step": row["step"], **_spread_of(cast(Mapping[str, list[float]], row["ratio"]))} for row in rows]
    marks = _marks(events)
    panels = tuple(
        Panel(title, _chart(f"ratio-{key}", title, spread, lines, reference=reference, marks=marks), note)
        for key, title, note, lines, reference in (
            ("r", "Mean of r on student samples", "lowest and highest bin; right at 1",
             [_Line("highest", "mean_ratio_high"), _Line("lowest", "mean_ratio_low", "plain")], 1.0),
            ("i", "Mean of 1/r on data", "lowest and highest bin; right at 1",
             [_Line("highest", "mean_inverse_ratio_high"), _Line("lowest", "mean_inverse_ratio_low", "plain")], 1.0),
            ("t", "Trust", "mean and lowest bin; 0 is reverse KL",
             [_Line("mean", "trust_mean"), _Line("lowest", "trust_low", "plain")], None),
            ("c", "Clipped and effective", "share of r clipped; share of samples the weights leave in effect",
             [_Line("effective", "effective_share_mean"), _Line("clipped", "clipped_share_mean", "plain")], None),
            ("j", "Jensen-Shannon divergence", "ln 2 minus half the logistic loss, nats, mean over bins",
             [_Line("divergence", "jensen_shannon_mean")], 0.0),
        )
    )  # fmt: skip
    return Section("ratio", "Ratio", lead, (Panels(panels, _bins(cast(Mapping[str, list[float]], rows[-1]["ratio"]))),))


def _bins(table: Mapping[str, list[float]]) -> Table:
    columns = (Column("bin, lowest noise first", True), *(Column(words.plain(name), True) for name in table))
    rows = tuple(
        (Number(place + 1, str(place + 1)), *(_number(column[place]) for column in table.values()))
        for place in range(len(next(iter(table.values()))))
    )
    return Table("ratio-bins", "The bins at the last logged step", columns, rows)


def _critics(events: Sequence[Event]) -> Section:
    rows = rows_of(events, "step")
    lead = (
        "How far the critics follow the student, and what pulls at it. Rising losses here are no failure by themselves."
    )
    if not rows:
        return Section("critics", "Critics and gradients", "No matching step yet.", ())
    panels = (
        _panel(events, "step", "Fake score's loss", "on samples it never saw, and after the step's updates",
               [_Line("fresh", "fresh_fake_loss"), _Line("after", "fake_loss", "plain")]),
        _panel(events, "step", "Discriminator accuracy", "0.5 is chance; near 1 the ratio is void",
               [_Line("accuracy", "d_accuracy")], reference=0.5),
        _panel(events, "step", "Gradients at the samples", "norms, logarithmic",
               [_Line("matching", "dm_norm"), _Line("adversarial", "gan_norm", "plain")], logarithmic=True),
        _panel(events, "step", "Student's gradient norm", "before clipping, logarithmic",
               [_Line("norm", "grad_norm")], logarithmic=True),
        _panel(events, "step", "Lag", "share removed between student steps, and the student's rate",
               [_Line("removed", "fake_beta"), _Line("rate", "student_rate", "plain")]),
        _panel(events, "step", "Agreement", "cosine of the logit's gradient and the score difference",
               [_Line("cosine", "score_cosine")], reference=0.0),
    )  # fmt: skip
    keys = (
        "step",
        "rate",
        "fake_updates",
        "fake_loss",
        "d_loss",
        "d_accuracy",
        "dm_norm",
        "gan_norm",
        "grad_norm",
        "ess",
    )
    return Section(
        "critics", "Critics and gradients", lead, (Panels(panels, _table("steps", "Logged steps", rows, keys)),)
    )


def _samples(events: Sequence[Event]) -> Section:
    rows = rows_of(events, "step")
    lead = (
        "The student's samples against the reference; 1 is right. Over-saturation and peppery texture show here first."
    )
    if not rows:
        return Section("samples", "Samples", "No matching step yet.", ())
    panels = tuple(
        _panel(events, "step", title, note, [_Line(words.plain(key), key)], reference=1.0)
        for title, note, key in (
            ("Deviation", "mean over channels", "std_ratio"),
            ("Extreme values", "share beyond the reference's 99.9 %, relative", "saturation"),
            ("Fine detail", "energy of the difference from neighbours", "detail_ratio"),
        )
    )
    table = _table("samples", "Logged steps", rows, ("step", "std_ratio", "saturation", "detail_ratio"))
    return Section("samples", "Samples", lead, (Panels(panels, table),))


def _time(events: Sequence[Event]) -> Section:
    spent = time_shares(events)
    whole = sum(spent.values()) or 1.0
    inside = sum(spent.get(name, 0.0) for name in NETWORKS) / whole
    rows = tuple(
        (
            _STAGES.get(name, name),
            Number(value, words.duration(value)),
            Number(value / whole, words.percent(value / whole)),
        )
        for name, value in sorted(spent.items(), key=lambda one: -one[1])
    )
    columns = (Column("stage"), Column("seconds", True), Column("share", True))
    lead = f"{words.percent(inside)} of the wall time is in the networks and their optimisers."
    return Section("time", "Time", lead, (Table("time", "Wall time by stage", columns, rows),))


def _decisions(events: Sequence[Event]) -> Section:
    told = [
        (f"{event['stage']}, step {event['step']}", _decision(event))
        for event in events
        if event["event"] in {"start", "resume", "rollback", "end"}
    ]
    lead = "What the training decided by itself, and its starts. Steps that were made again are shown once."
    return Section("decisions", "Decisions", lead, (Bullets(tuple(told)),) if told else ())


def _decision(event: Event) -> str:
    if event["event"] == "rollback":
        then = "half the rate, twice the fake updates" if event.get("retry") else "ended there"
        return f"Went back: {event.get('reason')}; {then}."
    if event["event"] == "end":
        return f"Ended by {event.get('reason')}."
    return "Started." if event["event"] == "start" else "Resumed from its checkpoint."


def _panel(
    events: Sequence[Event],
    kind: str,
    title: str,
    note: str,
    lines: Sequence[_Line],
    *,
    reference: float | None = None,
    logarithmic: bool = False,
) -> Panel:
    key = f"{kind}-{lines[0].key}".replace("_", "-")
    rows = rows_of(events, kind)
    chart = _chart(key, title, rows, lines, reference=reference, marks=_marks(events), logarithmic=logarithmic)
    return Panel(title, chart, note)


def _chart(
    key: str,
    title: str,
    rows: Sequence[Mapping[str, object]],
    lines: Sequence[_Line],
    *,
    reference: float | None,
    marks: Sequence[float],
    logarithmic: bool = False,
) -> Markup:
    drawn = []
    for line in lines:
        # Probes fill their numbers into some rows only: those rows are joined, a number that was not finite is a gap.
        points = [(_float(row, "step") or 0.0, _float(row, line.key)) for row in rows if line.key in row]
        drawn.append(Curve(line.label, points, line.look))
    return curves(key, title, drawn, reference=reference, marks=marks, logarithmic=logarithmic)


def _marks(events: Sequence[Event]) -> list[float]:
    return [step for row in rows_of(events, "rollback") if (step := _float(row, "step")) is not None]


def _spread_of(table: Mapping[str, list[float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, column in table.items():
        found |= {f"{name}_low": min(column), f"{name}_high": max(column), f"{name}_mean": sum(column) / len(column)}
    return found


def _table(name: str, caption: str, rows: Sequence[Event], keys: Sequence[str]) -> Table:
    columns = tuple(Column(words.plain(key), True) for key in keys)
    body = tuple(tuple(_number(_float(row, key)) for key in keys) for row in rows)
    return Table(name, caption, columns, body, folded=True)


def _number(value: float | None) -> Number:
    return Number(value, "" if value is None else words.number(value))


def _float(row: Mapping[str, object], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else None
