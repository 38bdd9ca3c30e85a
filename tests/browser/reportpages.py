"""The pages that the tests of this folder open."""

from pathlib import Path

import PIL.Image

from qcgen.report.runindex import add_to_index
from qcgen.report.write import Beside, write_report
from tests.report import synthetic

NAMES = ("index", "grid", "single", "runs")
STATIC = ("index", "single")


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
    }
