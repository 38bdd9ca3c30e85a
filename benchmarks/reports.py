"""What reports cost: 100,000 images built and opened in Chromium, row files up to a million rows, the index of runs."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.child import high_water
from qcgen.report.attempts import AttemptFiles
from qcgen.report.runindex import add_to_index
from qcgen.report.write import write_report
from tests.browser.chromium import find_chromium, open_browser, open_seconds
from tests.report import synthetic

ITEMS = 100_000
ROWS = (100_000, 300_000, 1_000_000)
ENTRIES = (1_000, 100_000, 1_000_000)


def measure_run(items: int, folder: Path, *, repeats: int = 3) -> dict[str, object]:
    """What `build` took in a process of its own, seconds to open each page (`repeats` times), sizes."""
    told = _alone("build", items, folder)
    report = folder / "report"
    pages: dict[str, object] = {}
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        for name in ("index.html", "grid.html"):
            pages[name] = [open_seconds(page, (report / name).as_uri()) for _ in range(repeats)]
        pages["grid_filter_and_sort"] = [_filter_seconds(page, product) for product in ("dress", "hat", "polo")]
    return {
        **told,
        "open_seconds": pages,
        "bytes": {
            path.name: path.stat().st_size for path in sorted(report.iterdir()) if path.is_file()
        } | {"sprites": sum(path.stat().st_size for path in (report / "sprites").iterdir())},
    }  # fmt: skip


def build(items: int, folder: Path) -> dict[str, object]:
    """Seconds to write the report into `folder`/report, and the peak memory of this process.

    The rows carry 1,000 different thumbnails in turn: decoding and packing them costs what it costs on real runs.
    """
    photos = synthetic.photos(1000)
    pictures = photos or synthetic.thumbnails(1000)
    started, started_cpu = time.perf_counter(), time.process_time()
    write_report(
        synthetic.make_run(items),
        (row for row in synthetic.make_rows(items, pictures=pictures) if row.current),
        folder=folder / "report",
        images_root=folder / "out",
        formats=("html", "csv"),
        every_attempt=synthetic.make_rows(items, pictures=pictures),
    )
    built, built_cpu = time.perf_counter() - started, time.process_time() - started_cpu
    peak_kib = high_water(os.getpid())
    started = time.process_time()
    made = sum(1 for _ in synthetic.make_rows(items, pictures=pictures))
    making_rows = 2 * (time.process_time() - started)
    return {
        "items": items,
        "attempts": made,
        "thumbnails": "photos" if photos else "drawn",
        "build_seconds": round(built, 2),
        "build_cpu_seconds": round(built_cpu, 2),
        "of_that_making_rows_cpu_seconds": round(making_rows, 2),
        "peak_rss_mib": round(peak_kib / 1024),
    }


def rows(count: int, folder: Path) -> dict[str, object]:
    """Seconds to write the row files of about `count` attempts as CSV and as Parquet, made-up rows left out."""
    items = round(count / 1.156)
    started = time.process_time()
    made = sum(1 for _ in synthetic.make_rows(items, pictures=[b""]))
    making = time.process_time() - started
    found: dict[str, object] = {"attempts": made}
    for one in ("csv", "parquet"):
        place = folder / one
        place.mkdir()
        started = time.process_time()
        AttemptFiles(synthetic.make_run(items), place, (one,)).write(synthetic.make_rows(items, pictures=[b""]))
        found[f"{one}_cpu_seconds"] = round(time.process_time() - started - making, 2)
        found[f"{one}_bytes"] = sum(path.stat().st_size for path in place.iterdir())
    return {**found, "peak_rss_mib": round(high_water(os.getpid()) / 1024)}


def index(entries: int, folder: Path) -> dict[str, object]:
    """Milliseconds to add one report to an index of so many, and again when it is there already."""
    made = synthetic.make_synthetic(3, pictures=[b""], run_id="new")
    report = write_report(
        made.run, made.rows, folder=folder / "new", images_root=folder, formats=(), every_attempt=made.everything
    ).parent
    add_to_index(report)
    head, line = (folder / "runs.js").read_text().splitlines()
    with (folder / "runs.js").open("w") as file:
        file.write(head + "\n")
        file.writelines(line.replace('"new"', f'"run{number}"') + "\n" for number in range(entries))
    took = []
    for _ in range(2):
        started = time.perf_counter()
        add_to_index(report)
        took.append(round(1000 * (time.perf_counter() - started), 2))
    return {"entries": entries, "add_ms": took[0], "add_again_ms": took[1]}


def _alone(what: str, count: int, folder: Path) -> dict[str, object]:
    """In a process of its own: this one may have grown with benchmarks that ran before."""
    command = [sys.executable, "-m", "benchmarks.reports", what, str(count), str(folder)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, object] = json.loads(told.stdout)
    return found


def _filter_seconds(page: Page, product: str) -> float:
    script = """(product) => new Promise((done) => {
        const started = performance.now();
        document.getElementById("product").value = product;
        document.getElementById("sort").value = "m:sharpness";
        document.getElementById("filters").dispatchEvent(new Event("input", { bubbles: true }));
        setTimeout(() => requestAnimationFrame(() => done((performance.now() - started) / 1000)), 0);
    })"""
    found: float = page.evaluate(script, product)
    return round(found, 3)


def main(results: Path) -> None:
    if find_chromium() is None:
        print("reports: left out, chromium is missing", file=sys.stderr)
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        run = measure_run(ITEMS, Path(folder))
    by_rows, by_entries = [], []
    for count in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            by_rows.append(_alone("rows", count, Path(folder)))
    for count in ENTRIES:
        with tempfile.TemporaryDirectory() as folder:
            by_entries.append(_alone("index", count, Path(folder)))
    machine = {"cpus": os.cpu_count(), "load_before": round(load, 2), "python": platform.python_version()}
    result = {"run": run, "row_files": by_rows, "index_of_runs": by_entries, "machine": machine}
    (results / "reports.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(json.dumps({"build": build, "rows": rows, "index": index}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))))
