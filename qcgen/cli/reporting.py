"""Wires reports: a run's stored rows, what is checked beside them, and the pictures that explain."""

from collections.abc import Callable, Sequence
from pathlib import Path

from qcgen.cli.wiring import REPORTS
from qcgen.core.errors import QcgenError
from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Finding, RunInfo, Severity

OVERLAYS = "evidence"
"""In a run's folder: pictures `ID.png` or `ID.webp` to lay over the image of that id."""


def report_writer(store: Store, formats: Sequence[str], *, single: bool = False) -> Callable[[RunInfo], Path]:
    """What writes a run's report from its stored rows.

    Raises:
        PrerequisiteError: Parquet without pyarrow; said before a run begins, not after it.
    """
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
            beside=Beside(store.runs(), check_beside(store, run), find_overlays(Path(run.out_dir))),
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
    return store.finish_run(
        run.run_id,
        status=run.status,
        seconds=run.seconds,
        seconds_by_stage=dict(run.seconds_by_stage),
        gates=run.gates,
        report=str(path),
    )


def check_beside(store: Store, run: RunInfo) -> tuple[Finding, ...]:
    """What the first screen must know that no picture shows: the licence and the audit chain."""
    broken = store.chain_problems()
    chain = Finding("audit_chain", Severity.INFO, "Every event follows the one before it.")
    if broken:
        chain = Finding("audit_chain", Severity.BLOCK, f"{broken[0]}. Cure: restore a backup (qcgen db restore).")
    return (*_check_licence(run), chain)


def find_overlays(out: Path) -> dict[str, str]:
    """Pictures in `<out>/evidence` by the id in their name, relative to `out`."""
    folder = out / OVERLAYS
    if not folder.is_dir():
        return {}
    found = (path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".webp") and path.is_file())
    return {path.stem: f"{OVERLAYS}/{path.name}" for path in found}


def _check_licence(run: RunInfo) -> list[Finding]:
    from qcgen.govern.licence import check_licences
    from qcgen.govern.protocol import Work
    from qcgen.models.find import find_card

    try:
        card = find_card(run.model)
    except QcgenError:
        return [Finding("licence", Severity.INFO, f"Not checked again: the model {run.model} is not here any more.")]
    found = check_licences(Work.of_job(JobSpec.model_validate_json(run.spec_json)), card)
    text = f"No rule stands against {run.purpose} use of a model under {card.licence or 'no declared licence'}."
    return found or [Finding("licence", Severity.INFO, text)]
