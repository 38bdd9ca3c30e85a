"""The pages of `qcgen bench qc`: HTML and Markdown beside `qc.json`, from it alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from qcgen.core.qcbenchresult import (
    COPIES_BEYOND,
    COPIES_RECALL,
    DEVICES_APART,
    FALSE_PAIRS,
    RESULT_FILE,
    SAME_VERDICT,
    Curve,
    Domain,
    Flagged,
    QcBench,
    State,
    Verdict,
)
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.html import render_training
from qcgen.report.markdown import render_markdown
from qcgen.report.protocol import Band, Bullets, Cell, Column, Facts, Mark, Number, Section, Table, Tile
from qcgen.report.qcpeople import people_section

_MARKS: dict[State, str] = {"pass": "good", "miss": "bad", "unmeasured": "none"}
_SEEN, _GAIN = 0.6, 0.1

_READING = (
    ("AUROC", "the chance that a spoiled picture scores worse than a clean one; 0.5 sees nothing, 1 sorts them all"),
    (
        "recall",
        "the share of spoiled pictures beyond the limit that 2 % of clean ones exceed; read it beside the AUROC",
    ),
    ("no value", "a picture that a detector cannot score counts as never flagged, spoiled or clean"),
    (
        "the limit",
        "is of the domain's own calibration part; on other pictures the same limit flags more: see the layer",
    ),
    ("intervals", "95 %: bootstrap by base picture for AUROC, Clopper-Pearson for shares of clean pictures"),
    ("the best of several", "a target takes the best detector of its corruption, chosen on the same pictures"),
)


def write_qcbench_report(result: QcBench, folder: Path) -> tuple[Path, Path]:
    """Write `index.html` and `qc.md` into the folder; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    title, subtitle, sections = "How good are the checks?", _subtitle(result), sections_of(result)
    page, text = folder / "index.html", folder / "qc.md"
    page.write_text(render_training(title, subtitle, sections, source=RESULT_FILE), encoding="utf-8")
    text.write_text(render_markdown(title, subtitle, sections), encoding="utf-8")
    return page, text


def sections_of(result: QcBench) -> tuple[Section, ...]:
    """Every section of the page."""
    return (
        _summary(result),
        Section("reading", "How to read it", "Six things to know before the numbers.", (Bullets(_READING),)),
        Section("targets", "Targets", _targets_lead(result), (targets_table(result),)),
        Section("detectors", "Detectors", "A detector without a passing table never gates.", (standing_table(result),)),
        Section("layer", "The whole layer", _LAYER_LEAD, (layer_table(result), *_group_tables(result))),
        Section("duplicates", "Duplicates", _COPIES_LEAD, (duplicates_table(result),)),
        _curves(result),
        _cross_talk(result),
        people_section(result.people),
        *_devices(result),
        Section("cost", "Cost", "Wall time per picture on the machine below.", (cost_table(result), _facts(result))),
    )


def targets_table(result: QcBench) -> Table:
    columns = (
        Column("gate"), Column("what"), Column("domain"), Column("state"), Column("best detector"), Column("got"),
        Column("wanted"),
    )  # fmt: skip
    rows = tuple(
        (one.gate, one.what, one.domain, _mark(one), one.detector or "", one.got, one.wanted) for one in result.verdicts
    )
    return Table("targets", "Every target on every domain", columns, rows)


def standing_table(result: QcBench) -> Table:
    columns = (
        Column("detector"), Column("version", True), Column("state"), Column("passes"), Column("sees, but misses"),
        Column("clean flagged"),
    )  # fmt: skip
    rows = []
    for name, one in result.standings.items():
        clean = [
            f"{domain.name} {words.percent(found.clean.rate)}"
            for domain in result.domains
            if (found := domain.detectors.get(name)) is not None and found.clean.of
        ]
        state = Mark("good", "may gate") if one.passed else Mark("warn", "shown only")
        version = Number(one.version, str(one.version))
        rows.append((name, version, state, _by_domain(one.passed), _by_domain(one.missed), ", ".join(clean)))
    return Table("detectors", "What each detector has shown", columns, tuple(rows))


def layer_table(result: QcBench) -> Table:
    columns = (
        Column("clean pictures"), Column("calibrated on"), Column("flagged", True), Column("interval"),
        Column("n", True), Column("flagged by"),
    )  # fmt: skip
    rows = tuple(
        (domain.name, layer.calibration, *_share(layer.all), layer.why or _told(layer.reasons))
        for domain in result.domains
        for layer in domain.layers
    )
    return Table("layer", "Clean pictures that the joint test flags", columns, rows)


def cost_table(result: QcBench) -> Table:
    names = sorted({name for domain in result.domains for name, one in domain.detectors.items() if one.alone_ms})
    columns = (
        Column("domain"), Column("size"), Column("all pixel detectors, ms", True),
        *(Column(name, True) for name in names),
    )  # fmt: skip
    rows = tuple(
        (
            domain.name,
            ", ".join(domain.sizes[:2]) + (" ..." if len(domain.sizes) > 2 else ""),
            _milliseconds(domain.together_ms),
            *(_milliseconds(_alone(domain, name)) for name in names),
        )
        for domain in result.domains
    )
    note = "Together: one batch, shared features made once. Alone: each makes what it needs."
    return Table("cost", "Milliseconds per picture, batched", columns, rows, note)


def _devices(result: QcBench) -> tuple[Section, ...]:
    """Nothing where one device was measured."""
    if result.devices is None:
        return ()
    columns = (Column("detector"), Column("state"), Column("largest difference", True))
    rows: list[tuple[Cell, ...]] = []
    for name, apart in sorted(result.devices.apart.items()):
        reached = _reached(apart is not None and apart <= DEVICES_APART)
        shown: Cell = "no value on one" if apart is None else Number(apart, f"{apart:.1e}")
        rows.append((name, reached, shown))
    differ = result.devices.verdicts
    lead = (
        f"The same {differ.of} pictures on the CPU and on {result.devices.device}: "
        f"{several(differ.flagged, 'verdict differs', 'verdicts differ')}. "
        f"Wanted: scores within {DEVICES_APART:g} of their size, and {SAME_VERDICT:.1%} of the verdicts equal."
    )
    return (Section("devices", "Devices", lead, (Table("devices", "CPU against GPU", columns, tuple(rows)),)),)


def duplicates_table(result: QcBench) -> Table:
    columns = (
        Column("domain"), Column("what was done"), Column("state"), Column("rate", True), Column("interval"),
        Column("n", True),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for domain in result.domains:
        if domain.copies is None:
            continue
        for name, one in domain.copies.found.items():
            interval = f"{one.low:.3f} to {one.high:.3f}"
            # No part of the target.
            state: Cell = "" if name in COPIES_BEYOND else _reached((one.rate or 0.0) >= COPIES_RECALL)
            rows.append((domain.name, name, state, _auroc(one.rate or 0.0), interval, Number(one.of, str(one.of))))
        pairs = domain.copies.pairs
        interval = f"{1000 * pairs.low:.2f} to {1000 * pairs.high:.2f}"
        state, false = _reached((pairs.rate or 0.0) <= FALSE_PAIRS), 1000 * (pairs.rate or 0.0)
        taken = Number(false, f"{false:.2f} in 1,000")
        rows.append(
            (domain.name, "nothing: different pictures", state, taken, interval, Number(pairs.of, str(pairs.of)))
        )
    return Table("duplicates", "Copies found, and pairs of different pictures taken for copies", columns, tuple(rows))


def _reached(so: bool) -> Mark:
    return Mark("good", "pass") if so else Mark("bad", "miss")


_COPIES_LEAD = (
    f"Clean pictures are copied with a change and hidden among the originals. Wanted: {COPIES_RECALL:g} of the copies "
    f"found, and at most {1000 * FALSE_PAIRS:g} of 1,000 pairs of different pictures taken. What the data holds twice "
    "counts as false."
)

_LAYER_LEAD = (
    "All detectors with one false-flag budget of 2 %. Its own calibration says whether the budget holds; another's "
    "says what happens out of domain."
)


def _summary(result: QcBench) -> Section:
    counts = {state: sum(one.state == state for one in result.verdicts) for state in _MARKS}
    gating = [name for name, one in result.standings.items() if one.passed]
    shown = [name for name, one in result.standings.items() if not one.passed]
    reasons = [f"Nothing passed for {', '.join(shown)}: scored and shown, never gating."] if shown else []
    if result.quick:
        reasons.append("Measured with the small settings: few pictures, wide intervals.")
    tiles = (
        Tile("targets reached", str(counts["pass"]), "of gate, corruption and domain", "good"),
        Tile("missed", str(counts["miss"]), "measured, below", "bad"),
        Tile("not measured", str(counts["unmeasured"]), "with the reason in the table"),
        Tile("detectors that may gate", f"{len(gating)} of {len(result.standings)}", "by a passing table"),
    )
    state = "good" if not counts["miss"] else "warn"
    answer = f"{counts['pass']} targets reached, {counts['miss']} missed"
    sentence = f"{counts['unmeasured']} could not be measured."
    band = Band(state, answer, sentence, tuple(reasons), Markup(""), tiles)
    return Section("summary", "Summary", "Detectors against planted defects, and the layer on clean pictures.", (band,))


def _targets_lead(result: QcBench) -> str:
    missed = sorted({one.what for one in result.verdicts if one.state == "miss"})
    return f"Missed on at least one domain: {'; '.join(missed)}." if missed else "No target is missed."


def _curves(result: QcBench) -> Section:
    lead = "Where a detector sees something (AUROC of 0.6 or more, and 0.1 more than the same pictures had unspoiled)."
    return Section("curves", "Detectors against corruptions", lead, tuple(map(_curve_table, result.domains)))


def _curve_table(domain: Domain) -> Table:
    columns = (
        Column("corruption"), Column("detector"), Column("unspoiled", True),
        *(Column(f"s{severity}", True) for severity in domain.severities),
        Column("recall"), Column("n", True),
    )  # fmt: skip
    kinds = sorted({kind for one in domain.detectors.values() for kind in one.curves})
    rows = tuple(
        (
            kind.replace("_", " "),
            name,
            _auroc(one.bases),
            *map(_auroc, curve.auroc),
            _recalls(curve),
            Number(curve.n, str(curve.n)),
        )
        for kind in kinds
        for name, one in domain.detectors.items()
        if (curve := one.curves.get(kind)) is not None and max(curve.auroc) >= max(_SEEN, one.bases + _GAIN)
    )
    return Table(f"curves-{domain.name}", f"{domain.name}: AUROC by severity", columns, rows, folded=True)


def _cross_talk(result: QcBench) -> Section:
    names = sorted(result.standings)
    kinds = sorted({kind for domain in result.domains for one in domain.detectors.values() for kind in one.curves})
    columns = (Column("corruption"), *(Column(name, True) for name in names))
    rows = tuple((kind.replace("_", " "), *(_mean_recall(result, name, kind) for name in names)) for kind in kinds)
    lead = (
        "Which detectors fire on which corruption: mean recall at severity 3 over the domains, each at its own limit."
    )
    note = "Two per cent is what clean pictures give; a high number beside another row's own detector is cross-talk."
    return Section(
        "cross-talk", "Cross-talk", lead, (Table("cross-talk", "Recall at severity 3", columns, rows, note),)
    )


def _mean_recall(result: QcBench, name: str, kind: str) -> Cell:
    found = []
    for domain in result.domains:
        one = domain.detectors.get(name)
        curve = one.curves.get(kind) if one else None
        if curve is not None and 3 in domain.severities:
            recall = curve.recall[domain.severities.index(3)]
            found += [] if recall is None else [recall]
    mean = sum(found) / len(found) if found else None
    return Number(mean, "" if mean is None else f"{mean:.2f}")


def _group_tables(result: QcBench) -> tuple[Table, ...]:
    columns = (
        Column("clean pictures"), Column("group"), Column("calibrated on"), Column("flagged", True), Column("interval"),
        Column("n", True),
    )  # fmt: skip
    rows = tuple(
        (domain.name, group, layer.calibration, *_share(one))
        for domain in result.domains
        for layer in domain.layers
        for group, one in layer.groups.items()
    )
    return (Table("groups", "By generator or source", columns, rows, folded=True),) if rows else ()


def _facts(result: QcBench) -> Facts:
    machine = result.machine
    return Facts(
        (
            ("machine", f"{machine.processor}, {machine.cores} cores, load {machine.load:.1f} at the end"),
            ("torch", f"{machine.torch}, {several(machine.threads, 'thread')}, Python {machine.python}"),
            ("the whole measurement", words.duration(result.seconds)),
        )
    )


def _subtitle(result: QcBench) -> str:
    domains = ", ".join(f"{one.name} ({one.calibrate} + {one.clean} + {one.corrupt})" for one in result.domains)
    kind = "Small settings" if result.quick else "Full settings"
    return f"{kind}, seed {result.seed}, {result.created}. Domains (calibrate + clean + spoiled): {domains}."


def _mark(one: Verdict) -> Mark:
    return Mark(_MARKS[one.state], one.state)


def _by_domain(found: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{domain}: {', '.join(kinds)}" for domain, kinds in found.items())


def _share(one: Flagged | None) -> tuple[Cell, Cell, Cell]:
    if one is None or not one.of:
        return Number(None, "n/a"), "", Number(0, "0")
    interval = f"{100 * one.low:.1f} to {100 * one.high:.1f} %"
    return Number(one.rate, words.percent(one.rate)), interval, Number(one.of, str(one.of))


def _told(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in reasons.items())


def _auroc(value: float) -> Cell:
    return Number(value, f"{value:.3f}")


def _recalls(curve: Curve) -> str:
    found: Sequence[float | None] = curve.recall
    return " / ".join("n/a" if value is None else f"{value:.2f}" for value in found)


def _alone(domain: Domain, name: str) -> float | None:
    one = domain.detectors.get(name)
    return None if one is None else one.alone_ms


def _milliseconds(value: float | None) -> Cell:
    return Number(value, "" if value is None else f"{value:.1f}")
