"""Wires reports: a run's stored rows, what is checked beside them, and the pictures that explain."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qcgen.cli.wiring import REPORTS, find_run, job_names, newest_run
from qcgen.core.errors import QcgenError, SpecError
from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Card, Finding, RunInfo, Severity
from qcgen.core.wording import cure_of, show

if TYPE_CHECKING:
    from qcgen.core.reviewstats import ReviewStats
    from qcgen.report.compare import Comparison
    from qcgen.report.nights import Numbers
    from qcgen.report.trend import Trend


def report_writer(store: Store, formats: Sequence[str], *, single: bool = False) -> Callable[[RunInfo], Path]:
    """What writes a run's report from its stored rows.

    Raises:
        PrerequisiteError: Parquet without pyarrow.
    """
    from qcgen.report.evidence import find_overlays
    from qcgen.report.parquet import require_parquet
    from qcgen.report.runindex import add_to_index
    from qcgen.report.write import Beside, write_report

    if "parquet" in formats:
        require_parquet()

    def write(run: RunInfo) -> Path:
        page = write_report(
            run,
            store.rows(run.run_id),
            folder=REPORTS / run.run_id,
            images_root=Path(run.out_dir),
            formats=formats,
            every_attempt=store.rows(run.run_id, every_attempt=True),
            beside=Beside(
                history=store.runs(),
                checks=check_beside(store, run),
                decisions=store.review.decisions(run.run_id),
                review=review_of(store, run),
                overlays=find_overlays(Path(run.out_dir)),
            ),
            single=single,
        )
        add_to_index(page.parent)
        return page

    return write


def write_report_of(
    store: Store, run: RunInfo, *, formats: Sequence[str] | None = None, single: bool = False
) -> RunInfo:
    """Write a stored run's report and record its path; `formats` are the job's unless given."""
    chosen = formats or JobSpec.model_validate_json(run.spec_json).report.formats
    if single:
        chosen = tuple(dict.fromkeys((*chosen, "html")))
    path = report_writer(store, chosen, single=single)(run)
    sums = hashlib.sha256(path.with_name("SHA256SUMS").read_bytes()).hexdigest()
    return store.keep_report(run.run_id, str(path), sums)


def check_beside(store: Store, run: RunInfo) -> tuple[Finding, ...]:
    """What the first screen must know that no picture shows: the licence and the audit chain."""
    broken = store.chain_problems()
    chain = Finding("audit_chain", Severity.INFO, "Every event follows the one before it.")
    if broken:
        chain = Finding("audit_chain", Severity.BLOCK, f"{broken[0]}. Cure: restore a backup (qcgen db restore).")
    return (*_check_licence(store, run), chain)


def review_of(store: Store, run: RunInfo) -> "ReviewStats | None":
    """What people's answers to this run's pictures say; None where nobody was asked."""
    from qcgen.core.reviewstats import review_stats

    return review_stats(store.review, run.run_id) if store.review.progress(run.run_id) else None


def _check_licence(store: Store, run: RunInfo) -> list[Finding]:
    from qcgen.govern.licence import check_licences
    from qcgen.govern.protocol import Work

    card = _card_of(store, run)
    if card is None:
        return [Finding("licence", Severity.INFO, f"Not checked again: the model {run.model} is not here any more.")]
    found = check_licences(Work.of_job(JobSpec.model_validate_json(run.spec_json)), card)
    text = f"No rule stands against {run.purpose} use of a model under {card.licence or 'no declared licence'}."
    return found or [Finding("licence", Severity.INFO, text)]


def _card_of(store: Store, run: RunInfo) -> Card | None:
    """The model's card as it is now; where the model is gone, as the run found it."""
    from qcgen.models.find import find_card

    try:
        return find_card(run.model)
    except QcgenError:
        return store.card(run.model_digest)


def trend_of(store: Store, job: str | None, *, last: int | None = None) -> "Trend":
    """The charts of a job's nights; of the newest run's job without a name.

    Numbers come from each run's report; where it is gone, or older than the run's verdicts, from its rows.

    Raises:
        SpecError: no run of this job.
    """
    from qcgen.report.nights import lay_out
    from qcgen.report.trend import see_trend

    name = job or newest_run(store).name
    runs = [run for run in store.runs() if run.name == name]
    if not runs:
        raise SpecError(f"--job: no run of {show(name)} in the database. {cure_of(name, job_names(store))}")
    return see_trend(name, lay_out(runs, lambda run: _numbers(store, run)), last=last)


def approve_baseline(store: Store, run: str, reason: str, job: str | None) -> str:
    """Let the limits start anew at a run, by name of the person at the keyboard; returns the job's name.

    Raises:
        SpecError: no such run, one that is not complete or of another job, or a reason that says nothing.
    """
    import getpass

    from qcgen.report.nights import BASELINE_BY_KEY, BASELINE_KEY

    found = find_run(store, run, key="--rebaseline")
    problems = []
    if not 3 <= len(reason.strip()) <= 500:
        problems.append(f"--reason: must have 3 to 500 characters (got {len(reason.strip())}). Cure: say what changed.")
    if found.status != "complete":
        problems.append(f"--rebaseline: run {found.run_id} is {found.status}. Cure: name a complete run.")
    if job is not None and found.name != job:
        problems.append(f"--rebaseline: run {found.run_id} is of {found.name!r}, not {job!r}. Cure: leave --job out.")
    if problems:
        raise SpecError(problems)
    facts = {BASELINE_KEY: reason.strip(), BASELINE_BY_KEY: getpass.getuser()}
    store.note(found.run_id, "trend.rebaseline", facts)
    return found.name


def compare_runs(store: Store, reference: str, new: str, out: Path | None) -> "tuple[Comparison, Path]":
    """Compare two stored runs and write the report.

    Raises:
        SpecError: no such run, the same one twice, or two without a pair.
    """
    from qcgen.qc.registry import find_detectors
    from qcgen.report.compare import compare
    from qcgen.report.comparepage import write_comparison
    from qcgen.report.comparepics import Shown
    from qcgen.report.pairs import read_side

    one, other = find_run(store, reference, key="REFERENCE"), find_run(store, new, key="NEW")
    if one.run_id == other.run_id:
        raise SpecError(f"NEW: is the same run as REFERENCE ({one.run_id}). Cure: name two runs (qcgen runs list).")
    sides = tuple(read_side(store.rows(run.run_id, every_attempt=True)) for run in (one, other))
    signs = {name: 1 if detector.higher_is_better else -1 for name, detector in find_detectors().items()}
    found = compare(one, other, (sides[0], sides[1]), signs=signs)
    if found is None:
        raise SpecError(
            f"NEW: {one.run_id} and {other.run_id} share no item. Cure: name two runs of jobs with the same prompts."
        )
    shown = [
        Shown(run, store.rows(run.run_id, every_attempt=True), _licence_facts(store, run), _report_folder(run))
        for run in (one, other)
    ]
    folder = out or REPORTS / f"compare-{one.run_id[:12]}-{other.run_id[:12]}"
    return found, write_comparison(found, shown[0], shown[1], folder)


def _report_folder(run: RunInfo) -> Path | None:
    folder = REPORTS / run.run_id
    return folder if (folder / "grid.html").is_file() else None


def _licence_facts(store: Store, run: RunInfo) -> dict[str, str]:
    card = _card_of(store, run)
    if card is None:
        return {"Licence": "the model is not here any more"}
    lineage = "; ".join(f"{edge.relation} {edge.parent} ({edge.licence})" for edge in card.lineage)
    return {"Licence": card.licence or "not declared", "Lineage": lineage or "not declared"}


def _numbers(store: Store, run: RunInfo) -> "Numbers | None":
    from qcgen.report.history import read_summary
    from qcgen.report.nights import from_summary, from_tally
    from qcgen.report.tally import Tally

    kept = read_summary(run, REPORTS)
    if kept is not None and kept.get("policy_sha256") == run.policy_sha256 and kept.get("status") == run.status:
        found = from_summary(kept)
        if found is not None:
            return found
    tally = Tally()
    for row in store.rows(run.run_id):
        tally.add(row)
    numbers = from_tally(tally, run.planned)
    return numbers if numbers.finished else None
