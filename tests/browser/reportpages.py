"""The pages that the tests of this folder open."""

from dataclasses import replace
from pathlib import Path

import PIL.Image

from qcgen.core.types import Outcome, RunInfo
from qcgen.report.compare import compare
from qcgen.report.comparepage import write_comparison
from qcgen.report.comparepics import Shown
from qcgen.report.nights import Numbers, Slot, lay_out
from qcgen.report.pairs import read_side
from qcgen.report.runindex import add_to_index
from qcgen.report.trend import see_trend, write_trend
from qcgen.report.write import Beside, write_report
from tests.report import synthetic

NAMES = ("index", "grid", "single", "runs", "trend", "compare")
STATIC = ("index", "single", "trend", "compare")


def write_pages(root: Path) -> dict[str, Path]:
    """Pages by name, each with what belongs to it beside it."""
    made = synthetic.make_synthetic(600)
    synthetic.save_images(made.rows[:40], root / "out", size=128)
    overlays = {}
    (root / "out" / "evidence").mkdir(parents=True)
    for row in made.rows[:3]:
        overlays[row.image_id] = f"evidence/{row.image_id}.png"
        PIL.Image.new("RGBA", (128, 128), (255, 0, 0, 120)).save(root / "out" / overlays[row.image_id])
    index = write_report(
        made.run,
        made.rows,
        folder=root / "reports" / made.run.run_id,
        images_root=root / "out",
        formats=("html", "csv"),
        every_attempt=made.everything,
        beside=Beside(overlays=overlays),
        single=True,
    )
    runs = add_to_index(index.parent)
    return {
        "index": index,
        "grid": index.with_name("grid.html"),
        "single": index.with_name("single.html"),
        "runs": runs,
        "trend": write_trend(see_trend(made.run.name, _slots()), root / "reports" / "trend"),
        "compare": _compare(made, root),
    }


def _slots() -> tuple[Slot, ...]:
    """Thirty nights, two of them missing, the last one with an alarm, and a change of the model."""
    nights = []
    for night in (*range(12), *range(14, 30)):
        started = f"2026-10-{night + 1:02d}T01:00:00+00:00"
        run = synthetic.make_run(400, run_id=f"night-{night:02d}", started_at=started, status="complete")
        nights.append(replace(run, model_digest="a" if night < 20 else "b"))

    def numbers(run: RunInfo) -> Numbers:
        night = int(run.run_id[-2:])
        accepted = 300 if night == 29 else 376 + night % 5
        return Numbers(400, 396, accepted, 12, {"blur": 396 - accepted, "noise": night % 3}, {"sharpness": night % 4})

    return lay_out(nights, numbers)


def _compare(made: synthetic.Synthetic, root: Path) -> Path:
    """The run against one whose hats are worse."""
    new = replace(made.run, run_id="new-run", model="students/refined", out_dir=str(root / "out"))
    rows = [
        replace(row, outcome=Outcome.REJECT, measures={name: 0.9 * value for name, value in row.measures.items()})
        if row.fields["product"] == "hat" and row.relpath
        else row
        for row in made.everything
    ]
    old = replace(made.run, out_dir=str(root / "out"))
    signs = {name: 1 if least else -1 for name, (_, _, _, least) in synthetic.DETECTORS.items()}
    found = compare(old, new, (read_side(made.everything), read_side(rows)), signs=signs)
    assert found is not None
    report = root / "reports" / made.run.run_id
    shown = Shown(old, made.everything, {"Licence": "CC0"}, report), Shown(new, rows, {"Licence": "MIT"}, report)
    return write_comparison(found, *shown, root / "reports" / "compare")
