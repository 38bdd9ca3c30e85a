"""The section about people's marks of `qcgen bench qc`."""

from qcgen.core.qcbenchresult import Opinion, People
from qcgen.report.protocol import Cell, Column, Number, Section, Table, Text


def people_section(people: People | None) -> Section:
    """How the checks agree with people, without learning and with."""
    if people is None:
        text = Text("No domain of this measurement carries people's marks.")
        return Section("people", "Against people", "Not measured.", (text,))
    lead = (
        f"{people.domain}: {people.bad} bad pictures (the lowest fifth of the marks) against {people.good} good ones "
        f"(the upper half) of {people.n}. The joint p and the learned combination judge prompts that they did not see."
    )
    return Section("people", "Against people", lead, (_opinions(people), _correlations(people)))


def _opinions(people: People) -> Table:
    columns = (
        Column("score"), Column("AUROC", True), Column("interval"), Column("bad among the worst fifth", True),
        Column("learned weight", True),
    )  # fmt: skip
    together = [("joint p, without learning", people.joint), ("learned, weights of at least 0", people.learned)]
    rows: list[tuple[Cell, ...]] = [(name, *_row(one), "") for name, one in together]
    ordered = sorted(people.detectors.items(), key=lambda pair: -pair[1].auroc)
    rows += [(name, *_row(one), f"{people.weights.get(name, 0.0):.2f}") for name, one in ordered]
    return Table("people", "Bad against good pictures", columns, tuple(rows))


def _row(one: Opinion) -> tuple[Cell, Cell, Cell]:
    interval = f"{one.low:.3f} to {one.high:.3f}"
    return Number(one.auroc, f"{one.auroc:.3f}"), interval, Number(one.recall_at_fifth, f"{one.recall_at_fifth:.2f}")


def _correlations(people: People) -> Table:
    names = list(next(iter(people.correlation.values())))
    columns = (Column("generator"), *(Column(name, True) for name in names))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (group or "none", *(Number(one[name], "" if one[name] is None else f"{one[name]:+.2f}") for name in names))
        for group, one in people.correlation.items()
    )
    note = "Below 0 where a worse score means a lower mark; above 0 the detector fires on what people like."
    return Table("correlation", "Rank correlation (Spearman) of badness with the mean mark", columns, rows, note, True)
