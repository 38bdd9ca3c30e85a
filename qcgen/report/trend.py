"""The trend report: a job's nights on control charts, with nights that are missing and what changed between them."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from markupsafe import Markup

from qcgen.core.control import BASELINE, NEEDED_RUNS, RUN_LENGTH, false_alarms
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.control import Chart, Judged, median_chart, share_chart
from qcgen.report.folder import replaced, write_page, write_tables
from qcgen.report.html import render_page
from qcgen.report.nights import BASELINE_BY_KEY, Numbers, Slot
from qcgen.report.protocol import (
    Block,
    Bullets,
    Cell,
    Column,
    Mark,
    Number,
    Panel,
    Panels,
    Section,
    Table,
    Text,
)
from qcgen.report.svgcontrol import Place, control

_MOST_REASONS = 12
_FOLD = 15


@dataclass(frozen=True, slots=True)
class Trend:
    """All charts of a job; `shown` is how many slots at the end are drawn. Limits come from all of them."""

    job: str
    slots: tuple[Slot, ...]
    rates: tuple[Chart, ...]
    reasons: tuple[Chart, ...]
    medians: tuple[Chart, ...]
    shown: int

    @property
    def charts(self) -> tuple[Chart, ...]:
        return (*self.rates, *self.reasons, *self.medians)


def see_trend(job: str, slots: Sequence[Slot], *, last: int | None = None) -> Trend:
    """Chart a job's nights; `last`: draw only so many slots at the end."""
    known = [slot.numbers for slot in slots if slot.numbers is not None]
    totals: Counter[str] = Counter()
    for numbers in known:
        totals.update(numbers.reasons)
    detectors = sorted({name for numbers in known for name in numbers.medians})
    rates = (
        share_chart(slots, "pass-rate", "Accepted of finished items", lambda night: (night.accepted, night.finished)),
        share_chart(slots, "flag-rate", "Flagged for a person", lambda night: (night.flagged, night.finished)),
    )
    reasons = tuple(
        share_chart(slots, kind, words.plain(kind), partial(_stopped_by, kind))
        for kind, _ in totals.most_common(_MOST_REASONS)
    )
    medians = tuple(median_chart(slots, name, words.plain(name)) for name in detectors)
    return Trend(job, tuple(slots), rates, reasons, medians, min(last or len(slots), len(slots)))


def _stopped_by(kind: str, night: Numbers) -> tuple[int, int]:
    return night.reasons.get(kind, 0), night.finished


def write_trend(trend: Trend, folder: Path) -> Path:
    """Write (or replace) the report and return its `index.html`.

    Raises:
        SpecError: `folder` holds something that is not a report.
    """
    folder = folder.absolute()
    with replaced(folder) as fresh:
        sections = build_sections(trend)
        text = json.dumps(summarise(trend), indent=2, allow_nan=False) + "\n"
        write_page(fresh / "trend.json", text)
        write_tables(fresh / "tables", sections)
        nights = sum(slot.run is not None for slot in trend.slots)
        title, told = f"Trend of {trend.job}", f"{several(nights, 'night')}; newest at the right"
        write_page(fresh / "index.html", render_page(title, told, sections, source="trend.json"))
    return folder / "index.html"


def summarise(trend: Trend) -> dict[str, object]:
    """trend.json: every point with its limits."""
    slots = [
        {
            "day": slot.day,
            "run_id": slot.run.run_id if slot.run else None,
            "changes": list(slot.changes),
            "baseline": slot.baseline,
        }
        for slot in trend.slots
    ]
    charts = [
        {"name": one.name, "share": one.share, "points": [asdict(point) if point else None for point in one.points]}
        for one in trend.charts
    ]
    return {"schema": 1, "job": trend.job, "slots": slots, "charts": charts, "alarms": alarms(trend)}


def alarms(trend: Trend) -> list[dict[str, object]]:
    """Newest first; the last night's are those that somebody should look at today."""
    found = []
    for place, slot in reversed(list(enumerate(trend.slots))):
        for chart in trend.charts:
            point = chart.points[place]
            if point is not None and point.rules and slot.run is not None:
                told = {"run_id": slot.run.run_id, "day": slot.day, "chart": chart.name, "value": point.value}
                found.append({**told, "low": point.low, "high": point.high, "rules": list(point.rules)})
    return found


def build_sections(trend: Trend) -> list[Section]:
    return [
        _summary(trend),
        _rates(trend),
        _panels(trend, "reasons", "Reasons", trend.reasons, "Share of the finished items that a reason stopped."),
        _panels(
            trend, "medians", "What the detectors measured", trend.medians,
            f"Median of each night; the coloured line is the EWMA from night {BASELINE + 1} on.",
        ),
        _events(trend),
        _rules(),
    ]  # fmt: skip


def _summary(trend: Trend) -> Section:
    found = alarms(trend)
    last = next((slot.run.run_id for slot in reversed(trend.slots) if slot.run is not None), None)
    today = [one for one in found if one["run_id"] == last]
    judged = max((chart.judged for chart in trend.charts), default=0)
    nights = sum(slot.numbers is not None for slot in trend.slots)
    if not judged:
        lead = (
            f"{several(nights, 'night')} with numbers; limits need {NEEDED_RUNS} after a baseline, so these are "
            "run charts around the median and nothing is judged."
        )
    elif today:
        names = ", ".join(words.plain(str(one["chart"])) for one in today[:6])
        lead = f"The last night alarms on {several(len(today), 'chart')}: {names}."
    else:
        lead = "The last night is within its limits on every chart."
    blocks: list[Block] = [Text(_expected(trend, found, judged))] if judged else []
    shown = {slot.run.run_id for slot in trend.slots[-trend.shown :] if slot.run}
    rows = tuple(_alarm_row(trend, one) for one in found if one["run_id"] in shown)
    if rows:
        columns = ("Night", "Run", "Chart", "Rule", "Value", "Lower limit", "Upper limit")
        listed = tuple(Column(name, name in columns[4:]) for name in columns)
        blocks.append(Table("alarms", "Alarms, newest first", listed, rows, folded=len(rows) > 2 * _FOLD))
    elif not blocks:
        blocks.append(Text("No alarm, because nothing is judged yet."))
    return Section("summary", "Is it still as it was?", lead, tuple(blocks))


def _expected(trend: Trend, found: Sequence[object], judged: int) -> str:
    charts = sum(chart.judged > 0 for chart in trend.charts)
    beyond, runs = false_alarms(judged, charts)
    return (
        f"{words.count(charts)} charts over up to {several(judged, 'judged night')} gave "
        f"{several(len(found), 'alarm')}. Where nothing happens about {beyond:.1f} points beyond 3 sigma and "
        f"{runs:.1f} runs of {RUN_LENGTH} are expected, and somewhat more because limits are learned from "
        f"{NEEDED_RUNS} nights only; one run of {RUN_LENGTH} can alarm on several nights."
    )


def _alarm_row(trend: Trend, one: dict[str, object]) -> tuple[Cell, ...]:
    chart = next(chart for chart in trend.charts if chart.name == one["chart"])
    value, low, high = (one[name] for name in ("value", "low", "high"))
    assert isinstance(value, float)
    return (
        str(one["day"]),
        str(one["run_id"])[:12],
        chart.title,
        Mark("bad", ", ".join(str(rule) for rule in one["rules"])),  # type: ignore[attr-defined]
        _number(chart, value),
        _number(chart, low if isinstance(low, float) else None),
        _number(chart, high if isinstance(high, float) else None),
    )


def _rates(trend: Trend) -> Section:
    panels, tables = [], []
    for number, chart in enumerate(trend.rates):
        rows = tuple(_rate_row(chart, slot, point) for slot, point in reversed(_shown(trend, chart)))
        names = ("Night", "Run", "Items", "Share", "Lower limit", "Upper limit", "Alarm")
        columns = tuple(Column(name, name in names[2:6]) for name in names)
        tables.append(Table(chart.name, f"{chart.title}, newest first", columns, rows, folded=len(rows) > _FOLD))
        panels.append(Panel(chart.title, _draw(trend, chart, f"rate{number}"), _note(chart)))
    lead = (
        "Dots are nights, diamonds alarm; thin lines are the limits of Laney's p' chart, the dashed one its centre. "
        "x is a night without a run, ? a run without numbers; a triangle marks a change, an upright line a baseline."
    )
    return Section("rates", "Rates", lead, (Panels(tuple(panels), tables[0]), tables[1]))


def _rate_row(chart: Chart, slot: Slot, point: Judged | None) -> tuple[Cell, ...]:
    run = slot.run.run_id[:12] if slot.run else "no run"
    if point is None:
        return (slot.day, run, "", "" if slot.run is None else "unknown", "", "", "")
    ends = (_number(chart, point.low), _number(chart, point.high))
    alarm: Cell = Mark("bad", ", ".join(point.rules)) if point.rules else ""
    return (slot.day, run, Number(point.size, words.count(point.size)), _number(chart, point.value), *ends, alarm)


def _panels(trend: Trend, name: str, title: str, charts: Sequence[Chart], lead: str) -> Section:
    if not charts:
        return Section(name, title, "", (Text("No night has such numbers."),))
    panels = tuple(
        Panel(chart.title, _draw(trend, chart, f"{name}{number}"), _note(chart)) for number, chart in enumerate(charts)
    )
    columns = (Column("Night"), Column("Run"), *(Column(chart.title, True) for chart in charts))
    shown = [_shown(trend, chart) for chart in charts]
    rows = tuple(_median_row(slot, charts, shown, place) for place, (slot, _) in reversed(list(enumerate(shown[0]))))
    note = "An asterisk marks a night that alarms."
    table = Table(name, f"{title}, newest night first", columns, rows, note=note, folded=len(rows) > _FOLD)
    return Section(name, title, lead, (Panels(panels, table),))


def _median_row(
    slot: Slot, charts: Sequence[Chart], shown: Sequence[list[tuple[Slot, Judged | None]]], place: int
) -> tuple[Cell, ...]:
    values = (_cell(chart, points[place][1]) for chart, points in zip(charts, shown, strict=True))
    return (slot.day, slot.run.run_id[:12] if slot.run else "no run", *values)


def _note(chart: Chart) -> str:
    alarming = sum(point is not None and bool(point.rules) for point in chart.points)
    last = next((point for point in reversed(chart.points) if point is not None), None)
    text = "no value" if last is None else f"last {_number(chart, last.value).text}"
    if not chart.judged:
        return f"{text}; no limits yet"
    return f"{text}; {several(alarming, 'night alarms', 'nights alarm')} of {chart.judged}"


def _cell(chart: Chart, point: Judged | None) -> Number:
    if point is None:
        return Number(None, "")
    return Number(point.value, f"{_number(chart, point.value).text}{' *' if point.rules else ''}")


def _events(trend: Trend) -> Section:
    rows = tuple(
        (slot.day, slot.run.run_id[:12], ", ".join(slot.changes) or "", slot.baseline or "", _approver(slot))
        for slot in reversed(trend.slots)
        if slot.run is not None and (slot.changes or slot.baseline is not None)
    )
    title = "What changed"
    if not rows:
        return Section(
            "events", title, "", (Text("Model, policy, scorer, job and catalogue are those of the first night."),)
        )
    columns = tuple(Column(name) for name in ("Night", "Run", "Changed", "New baseline because", "Approved by"))
    lead = "By digests against the run before. A change alone never moves a limit."
    return Section(
        "events", title, lead, (Table("events", "Changes and baselines", columns, rows, folded=len(rows) > 30),)
    )


def _approver(slot: Slot) -> str:
    return slot.run.environment.get(BASELINE_BY_KEY, "") if slot.run is not None and slot.baseline is not None else ""


def _rules() -> Section:
    items = (
        (
            "Limits",
            f"From the first {NEEDED_RUNS} nights after the start or the last approved baseline; they judge all nights "
            "after it.",
        ),
        (
            "Alarms",
            f"A point beyond 3 sigma; {RUN_LENGTH} nights in a row on one side of the centre; for medians also an EWMA "
            "(0.2, 2.96 sigma).",
        ),
        (
            "Missing nights",
            "A night without a run, or without numbers, is shown and never filled in; lines break there.",
        ),
        (
            "Baseline",
            "Only a person starts the limits anew: qcgen report trend --rebaseline RUN --reason TEXT. It is kept in "
            "the audit chain.",
        ),
        (
            "Assumes",
            "Nights are independent and alike but for chance; a catalogue that differs every night widens the limits.",
        ),
    )
    return Section("rules", "How to read it", "", (Bullets(items),))


def _shown(trend: Trend, chart: Chart) -> list[tuple[Slot, Judged | None]]:
    return list(zip(trend.slots, chart.points, strict=True))[-trend.shown :] if trend.shown else []


def _draw(trend: Trend, chart: Chart, key: str) -> Markup:
    shown = _shown(trend, chart)
    places = [
        Place(
            slot.day,
            "missing" if slot.run is None else "unknown" if slot.numbers is None else "run",
            bool(slot.changes),
            slot.baseline is not None,
        )
        for slot, _ in shown
    ]
    cut = Chart(chart.name, chart.title, chart.share, tuple(point for _, point in shown))
    return control(key, cut, places)


def _number(chart: Chart, value: float | None) -> Number:
    if value is None:
        return Number(None, "")
    return Number(value, words.percent(value) if chart.share else words.number(value))
