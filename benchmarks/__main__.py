"""Runs benchmarks: python -m benchmarks [NAME ...] (from the repository's folder; all of them without a name)."""

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    batchgates,
    demo,
    distill_step,
    engine,
    labels,
    planning,
    qc,
    reports,
    reviewdesk,
    reviewstore,
    ring,
)

RESULTS = Path(__file__).parent / "results"
ALL: dict[str, Callable[[Path], None]] = {
    "batchgates": batchgates.main,
    "demo": demo.main,
    "distill_step": distill_step.main,
    "engine": engine.main,
    "labels": labels.main,
    "planning": planning.main,
    "qc": qc.main,
    "reports": reports.main,
    "reviewdesk": reviewdesk.main,
    "reviewstore": reviewstore.main,
    "ring": ring.main,
}


def _machine() -> dict[str, object]:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {"processor": names[0], "cores": len(names), "python": platform.python_version()}


RESULTS.mkdir(exist_ok=True)
(RESULTS / "machine.json").write_text(json.dumps(_machine(), indent=1) + "\n")
for name in sys.argv[1:] or ALL:
    ALL[name](RESULTS)
