"""Builds the report of a large made-up run and measures how fast Chromium opens its pages from disk."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.child import high_water
from qcgen.report.write import write_report
from tests.browser.chromium import find_chromium, open_browser, open_seconds
from tests.report import synthetic

ITEMS = 100_000


def measure(items: int, folder: Path, *, repeats: int = 3) -> dict[str, object]:
    """What `build` took in a process of its own, seconds to open each page (`repeats` times), sizes."""
    # This process may have grown with benchmarks that ran before.
    command = [sys.executable, "-m", "benchmarks.report_open", str(items), str(folder)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    report = folder / "report"
    pages: dict[str, object] = {}
    with open_browser() as browser:
        for name in ("index.html", "grid.html"):
            pages[name] = [open_seconds(browser, (report / name).as_uri()) for _ in range(repeats)]
        pages["grid_filter_and_sort"] = _filter_seconds(browser)
    return {
        **json.loads(told.stdout),
        "open_seconds": pages,
        "bytes": {
            path.name: path.stat().st_size for path in sorted(report.iterdir()) if path.is_file()
        } | {"sprites": sum(path.stat().st_size for path in (report / "sprites").iterdir())},
        "machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
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


def _filter_seconds(browser: "object") -> float:
    script = """
        const started = performance.now();
        document.getElementById("product").value = "dress";
        document.getElementById("sort").value = "m:sharpness";
        document.getElementById("filters").dispatchEvent(new Event("input", { bubbles: true }));
        const done = arguments[0];
        setTimeout(() => requestAnimationFrame(() => done((performance.now() - started) / 1000)), 0);
    """
    return round(browser.execute_async_script(script), 3)  # type: ignore[attr-defined]


def main(results: Path) -> None:
    if find_chromium() is None:
        print("report_open: left out, chromium and chromedriver are missing", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measure(ITEMS, Path(folder))
    (results / "report_open.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(json.dumps(build(int(sys.argv[1]), Path(sys.argv[2]))))
