"""The page, the tables and the numbers of a comparison."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from qcgen.core.types import Outcome, RunInfo
from qcgen.core.wording import several
from qcgen.report import svg, words
from qcgen.report.compare import ACCEPTED, Comparison, Verdicts
from qcgen.report.comparepics import Shown, draw_pairs
from qcgen.report.folder import replaced, write_page, write_tables
from qcgen.report.html import render_page
from qcgen.report.paired import BOOTSTRAPPED, LEVEL, RESAMPLES, TIE, Difference
from qcgen.report.protocol import (
    Bullets,
    Cell,
    Column,
    Gallery,
    Heat,
    Mark,
    Number,
    Panel,
    Panels,
    Picture,
    Section,
    Table,
    Text,
)


def write_comparison(found: Comparison, one: Shown, other: Shown, folder: Path) -> Path:
    """Write (or replace) the report and return its `index.html`.

    Raises:
        SpecError: `folder` holds something that is not a report.
    """
    folder = folder.absolute()
    with replaced(folder) as fresh:
        (fresh / "pairs").mkdir()
        galleries = draw_pairs(found, one, other, fresh, folder)
        sections = [
            _summary(found),
            _verdicts(found),
            _metrics(found),
            _slices(found),
            _pictures("worst", "Largest regressions", galleries[0], "Verdicts that fell furthest, then joint p."),
            _pictures(
                "drawn", "Pairs drawn at random", galleries[1], "Not picked by anybody: what the two usually do."
            ),
            _facts(one, other),
            _how(),
        ]
        write_page(fresh / "compare.json", json.dumps(_numbers(found), indent=2, allow_nan=False) + "\n")
        write_tables(fresh / "tables", sections)
        title = f"{found.other.name} {_short(found.other)} against {_short(found.one)}"
        told = f"reference: {found.one.model}; new: {found.other.model}; {several(found.pairs, 'pair')}"
        page = render_page(title, told, sections, source="compare.json", pictures=True)
        write_page(fresh / "index.html", page)
    return folder / "index.html"


def _summary(found: Comparison) -> Section:
    first = found.first
    change = f"{100 * first.change:+.1f} points, 95 % interval {100 * first.low:+.1f} to {100 * first.high:+.1f}"
    told = "cannot be told apart from the reference"
    if first.p < LEVEL:
        told = f"accepts {'more' if first.change > 0 else 'fewer'} than the reference"
    better, worse = (sum(one.better == side for one in found.metrics) for side in (1, -1))
    by = "the same prompt and seed" if found.how == "seed" else "prompt, SKU and copy; the noise differs"
    items = (
        ("Acceptance", f"The new run {told}: {change} (first attempts; McNemar's exact p {words.chance(first.p)})."),
        ("Detectors", f"{better} better, {worse} worse, {len(found.metrics) - better - worse} not told apart."),
        ("Speed", _speed(found)),
        ("Pairs", f"{several(found.pairs, 'pair')} by {by}; without a partner: {found.unpaired[0]} of the "
                  f"reference, {found.unpaired[1]} of the new run."),
    )  # fmt: skip
    return Section("summary", "Is the new one better?", f"The new run {told}.", (Bullets(items),))


def _speed(found: Comparison) -> str:
    each = [run.seconds / run.planned if run.planned and run.seconds > 0 else None for run in (found.one, found.other)]
    if each[0] is None or each[1] is None:
        return "A run has no time."
    times = f"{words.number(each[0], 3)} and {words.number(each[1], 3)} s/image"
    return f"{times}: the new run takes {words.number(each[1] / each[0], 3)} times as long."


def _verdicts(found: Comparison) -> Section:
    rows = tuple(
        _verdict_row(name, told) for name, told in (("First attempts", found.first), ("Standing items", found.standing))
    )
    names = ("Of", "Pairs", "Accepted before", "Accepted now", "Change", "95 % interval", "Gained", "Lost", "p")
    columns = tuple(Column(name, name != "Of") for name in names)
    note = "p: McNemar's exact test on the pairs that changed. Standing items are after retries: what would ship."
    moves = tuple(
        (before, after, Number(count, words.count(count)))
        for (before, after), count in sorted(found.first.moves.items(), key=lambda move: (-move[1], move[0]))
    )
    moved = (Column("Before"), Column("Now"), Column("Pairs", True))
    blocks = (
        Table("acceptance", "Acceptance", columns, rows, note=note),
        Table("moves", "Verdicts of first attempts", moved, moves),
    )
    return Section("verdicts", "Verdicts", "", blocks)


def _verdict_row(name: str, told: Verdicts) -> tuple[Cell, ...]:
    gained = sum(count for (a, b), count in told.moves.items() if b == Outcome.ACCEPT and a != Outcome.ACCEPT)
    lost = sum(count for (a, b), count in told.moves.items() if a == Outcome.ACCEPT and b != Outcome.ACCEPT)
    shares = [words.percent(count / told.pairs) for count in (told.accepted_one, told.accepted_other)]
    return (
        name,
        Number(told.pairs, words.count(told.pairs)),
        Number(told.accepted_one, f"{words.count(told.accepted_one)} ({shares[0]})"),
        Number(told.accepted_other, f"{words.count(told.accepted_other)} ({shares[1]})"),
        Number(told.change, f"{100 * told.change:+.1f} points"),
        f"{100 * told.low:+.1f} to {100 * told.high:+.1f}",
        Number(gained, words.count(gained)),
        Number(lost, words.count(lost)),
        Number(told.p, words.chance(told.p)),
    )


def _metrics(found: Comparison) -> Section:
    title = "Detectors"
    if not found.metrics:
        return Section("metrics", title, "", (Text("No detector has measured both runs."),))
    names = ("Detector", "", "Before", "Now", "Difference", "95 % interval", "q", "Win", "Tie", "Loss")
    columns = tuple(Column(name, place > 1) for place, name in enumerate(names))
    ordered = sorted(found.metrics, key=lambda one: -abs(one.effect))
    rows = tuple(_metric_row(one) for one in ordered)
    dots = [
        svg.Span(
            words.plain(one.name), one.effect, _error(one), f"{one.effect:+.2f}", "accent" if one.better else "plain"
        )
        for one in ordered[:20]
    ]
    chart = svg.spans(
        "effects", "Mean difference in standard deviations of the reference", dots, reference=0.0, label_width=130
    )
    note = (
        "Difference: now less before. q is p after Benjamini and Hochberg over the "
        f"{several(len(found.metrics), 'detector')}; "
        f"below {LEVEL:g} it is called better or worse. Win, tie and loss count pairs; a tie differs by less than "
        f"{TIE:.0%} of the reference's standard deviation. Where no direction is known, win means larger."
    )
    table = Table("metrics", "Detectors, largest effect first", columns, rows, note=note)
    panel = Panel("Mean difference in standard deviations", chart, "The whisker is the 95 % interval.")
    return Section("metrics", title, "", (Panels((panel,), table),))


def _error(one: Difference) -> float:
    """Half of the interval's half, so that the whisker of two errors is the interval."""
    return abs(one.effect / one.mean) * (one.high - one.low) / 4 if one.mean else 0.0


_CALLED = {1: Mark("good", "better"), -1: Mark("bad", "worse"), 0: Mark("none", "not told apart")}


def _metric_row(one: Difference) -> tuple[Cell, ...]:
    called = Mark("warn", "changed") if one.q < LEVEL and not one.sign else _CALLED[one.better]
    return (
        one.name,
        called,
        Number(one.one, words.number(one.one)),
        Number(one.other, words.number(one.other)),
        Number(one.mean, _signed(one.mean)),
        f"{_signed(one.low)} to {_signed(one.high)}",
        Number(one.q, words.chance(one.q)),
        Number(one.wins, words.count(one.wins)),
        Number(one.ties, words.count(one.ties)),
        Number(one.losses, words.count(one.losses)),
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{words.number(value, 3)}"


def _slices(found: Comparison) -> Section:
    title = "By product and colour" if found.slices else "By slice"
    if not found.slices:
        return Section("slices", title, "", (Text("The items have no field with a few repeated values."),))
    columns = (
        Column("Field"), Column("Value"), Column("Pairs", True),
        *(Column("accepted (points)" if name == ACCEPTED else words.plain(name), True) for name in found.sliced),
    )  # fmt: skip
    rows = tuple(
        (row.field, row.value, Number(row.pairs, words.count(row.pairs)), *(_heat(cell) for cell in row.cells))
        for row in found.slices
    )
    tests = sum(cell is not None for row in found.slices for cell in row.cells)
    note = (
        f"Detectors in standard deviations of the reference. A cell is shaded where q < {LEVEL:g} after Benjamini and "
        f"Hochberg over all {words.count(tests)} cells: + better, - worse, ~ changed without a known direction."
    )
    return Section("slices", title, "", (Table("slices", "Differences by slice", columns, rows, note=note),))


def _heat(cell: Difference | None) -> Cell:
    if cell is None:
        return ""
    shown = _even(f"{100 * cell.mean:+.1f}" if cell.name == ACCEPTED else f"{cell.effect:+.2f}")
    value = cell.mean if cell.name == ACCEPTED else cell.effect
    if cell.q >= LEVEL:
        return Number(value, shown)
    strength = min(1 + int(abs(cell.effect) / 0.25), 3)
    sign = {1: "+", -1: "-", 0: "~"}[cell.better]
    return Heat(value, f"{shown} {sign}", cell.better * strength)


def _even(text: str) -> str:
    """What rounds to nothing has no sign."""
    return text.lstrip("+-") if not text.strip("+-0.") else text


def _pictures(name: str, title: str, pictures: Sequence[Picture], lead: str) -> Section:
    if not pictures:
        return Section(name, title, "", (Text("There is none."),))
    rows = tuple((one.title, one.lines[0], one.lines[1], "; ".join(one.lines[2:])) for one in pictures)
    columns = (Column("SKU"), Column("Prompt"), Column("Verdicts"), Column("Reasons now"))
    table = Table(name, "The same pairs as a table", columns, rows, folded=True)
    return Section(name, title, f"{lead} Left before, right now.", (Gallery(tuple(pictures), table, wide=True),))


def _facts(one: Shown, other: Shown) -> Section:
    told = [_fact_texts(shown) for shown in (one, other)]
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys((*told[0], *told[1])):
        values = tuple(side.get(name, "") for side in told)
        rows.append((name, *values, Mark("warn", "differs") if values[0] != values[1] else "same"))
    columns = (Column("What"), Column("Reference"), Column("New"), Column(""))
    return Section("facts", "Licence, model and time", "", (Table("facts", "The two runs", columns, tuple(rows)),))


def _fact_texts(shown: Shown) -> dict[str, str]:
    run = shown.run
    stages = {f"Seconds, {words.plain(stage)}": words.number(took, 3) for stage, took in run.seconds_by_stage.items()}
    return {
        "Run": run.run_id,
        "Job": run.name,
        "Started": run.started_at[:16].replace("T", " "),
        "Purpose": run.purpose,
        "Model": run.model,
        "Model digest": run.model_digest,
        "Policy digest": run.policy_sha256,
        "Job digest": run.spec_sha256,
        **shown.facts,
        **stages,
    }


def _how() -> Section:
    items = (
        (
            "Pairs",
            "Differences are taken pair by pair, so that what a prompt does to both runs cancels. First attempts only: "
            "retries choose among pictures.",
        ),
        (
            "Intervals",
            f"Percentile bootstrap of the mean with {RESAMPLES:,} resamples up to {BOOTSTRAPPED:,} pairs; Student's "
            "beyond, and in the slices.",
        ),
        (
            "Many tests",
            f"Benjamini and Hochberg at {LEVEL:g}, once over the detectors and once over all cells of the slices: of "
            "what is called different, at most one in twenty is wrongly so on average.",
        ),
        (
            "Assumes",
            "Pairs are independent draws; several copies of one prompt are a little alike, and intervals a little "
            "narrow.",
        ),
        (
            "Not compared",
            "What no detector measures, and what people would prefer when they see both without knowing which is "
            "which.",
        ),
    )
    return Section("how", "How to read it", "", (Bullets(items),))


def _numbers(found: Comparison) -> dict[str, object]:
    def told(verdicts: Verdicts) -> dict[str, object]:
        moves = [{"before": a, "now": b, "pairs": count} for (a, b), count in sorted(verdicts.moves.items())]
        return {**asdict(verdicts), "moves": moves, "change": verdicts.change}

    return {
        "schema": 1,
        "one": found.one.run_id,
        "other": found.other.run_id,
        "paired_by": found.how,
        "pairs": found.pairs,
        "unpaired": list(found.unpaired),
        "first": told(found.first),
        "standing": told(found.standing),
        "metrics": [{**asdict(one), "difference": one.mean, "better": one.better} for one in found.metrics],
        "slices": [
            {"field": row.field, "value": row.value, "pairs": row.pairs,
             "cells": [None if cell is None else {**asdict(cell), "better": cell.better} for cell in row.cells]}
            for row in found.slices
        ],
    }  # fmt: skip


def _short(run: RunInfo) -> str:
    return run.run_id[:12]
