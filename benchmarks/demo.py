"""The main job on the embedded student, as `make demo` runs it, in a process of its own."""

import json
import tempfile
from pathlib import Path

from benchmarks.child import run_qcgen


def main(results: Path) -> None:
    job = Path("jobs/demo.yaml").resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured: dict[str, object] = {"first": run_qcgen(["run", str(job)], folder)}
        measured["pictures"] = len(list((folder / "out").rglob("*.png")))
        measured["again"] = run_qcgen(["run", str(job)], folder)
    (results / "demo.json").write_text(json.dumps(measured, indent=1) + "\n")
