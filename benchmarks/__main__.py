"""Runs every benchmark: python -m benchmarks (from the repository's folder)."""

import json
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks import engine, ring

RESULTS = Path(__file__).parent / "results"


def _machine() -> dict[str, object]:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {"processor": names[0], "cores": len(names), "python": platform.python_version()}


RESULTS.mkdir(exist_ok=True)
(RESULTS / "machine.json").write_text(json.dumps(_machine(), indent=1) + "\n")
engine.main(RESULTS)
ring.main(RESULTS)
report = [sys.executable, "benchmarks/report_open.py", "--items", "100000", "--out", str(RESULTS / "report_open.json")]
subprocess.run(report, check=True)
