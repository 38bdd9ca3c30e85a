"""What people said: how much, how well they agree, whether they see planted defects. Nobody is named or ranked."""

from statistics import median
from typing import ClassVar

from qcgen.core.reviewstats import Agreement, ReviewStats, Share
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.protocol import Block, Cell, Column, Number, Section, Table, Text
from qcgen.report.runview import RunView


class Reviewers:
    name: ClassVar[str] = "reviewers"
    order: ClassVar[int] = 60

    def build(self, view: RunView) -> Section:
        title = "What people said"
        told = view.review
        if told is None:
            text = "Nobody was asked about this run. qcgen review opens its queue."
            return Section(self.name, title, "", (Text(text),))
        blocks: list[Block] = [_measures(told)]
        if told.open_tasks:
            rows = tuple((kind, Number(count, words.count(count))) for kind, count in told.open_tasks.items())
            blocks.append(Table("open", "Tasks that are open", (Column("Kind"), Column("Tasks", True)), rows))
        return Section(self.name, title, _lead(told), tuple(blocks))


def _lead(told: ReviewStats) -> str:
    answers = sum(one.answers for one in told.people)
    who = several(len(told.people), "person", "people")
    disputes = f" {several(told.open_disputes, 'dispute is', 'disputes are')} open." if told.open_disputes else ""
    return f"{several(answers, 'answer')} by {who}.{disputes}" if answers else f"No answer yet.{disputes}"


def _measures(told: ReviewStats) -> Table:
    rows: list[tuple[Cell, ...]] = [
        _share("Missed defects", told.missed, "bad ones among the audited accepted pictures, weighted by product"),
        _share("Planted defects seen", told.seeds, f"{told.right_code} of them with the expected reason"),
        *_agreement(told.agreement),
    ]
    times = [one.dwell_ms for one in told.people if one.dwell_ms is not None]
    if times:
        text = "median over people of their median time on a picture"
        rows.append(("Time on a picture", Number(median(times) / 1000, f"{median(times) / 1000:.1f} s"), "", "", text))
    if told.total is not None:
        total = told.total
        shown = f"{total.low:.0f} to {total.high:.0f}"
        text = f"{total.found} found by two full passes (Chapman)"
        rows.append(("All defects there are", Number(total.estimate, f"{total.estimate:.0f}"), "", shown, text))
    names = ("Measure", "Value", "n", "95 % interval", "What it is")
    columns = tuple(Column(name, name in names[1:3]) for name in names)
    note = "0 of 60 is not 0 %: read shares with their intervals. Kappa collapses where defects are rare; AC1 does not."
    if told.strata_unseen:
        note += f" No audit decided yet in: {', '.join(told.strata_unseen)}."
    return Table("measures", "Measures of the review", columns, tuple(rows), note=note)


def _share(name: str, share: Share, text: str) -> tuple[Cell, ...]:
    if share.rate is None:
        return (name, Number(None, "none yet"), Number(0, "0"), "", text)
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f} %, at most {100 * share.upper:.1f} %"
    return (name, Number(share.rate, words.percent(share.rate)), Number(share.n, words.count(share.n)), interval, text)


def _agreement(told: Agreement) -> list[tuple[Cell, ...]]:
    n = Number(told.n, words.count(told.n))
    named = (
        ("Agreement", told.raw, "share of twice-seen pictures on which both say the same", True),
        ("Cohen's kappa", told.kappa, "agreement beyond chance", False),
        ("Gwet's AC1", told.ac1, "the same, steady where defects are rare", False),
        ("Share of bad ones", told.prevalence, "among twice-seen pictures", True),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, value, text, share in named:
        shown = "none yet" if value is None else words.percent(value) if share else f"{value:.2f}"
        rows.append((name, Number(value, shown), n, "", text))
    return rows
