"""Measures the quality control on the data packages with the full settings: `qcgen bench qc`."""

import shutil
import sys
from pathlib import Path

from qcgen.cli.main import main as run_qcgen

_OUT = Path("out/bench-qc")


def main(results: Path) -> None:
    """Write qc.json and the readable qc.md into the results."""
    code = run_qcgen(["bench", "qc", "--out", str(_OUT)])
    if code:
        sys.exit(code)
    for name in ("qc.json", "qc.md"):
        shutil.copy(_OUT / name, results / name)
