"""Planning of 100,000 items, and the search for near duplicates among 100,000 hashes."""

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.child import run_qcgen
from qcgen.qc.near import find_near

ROWS = 100_000
JOB = """version: 1
name: hundred-thousand
model: embedded:apparel
purpose: research
items: {table: items.csv, prompt: "a photo of a {colour} {product}"}
output: {dir: out}
"""


def measure_plan() -> dict[str, float]:
    """`qcgen plan` in a process of its own, start-up included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = (f"SKU-{n:07d},product {n % 170},colour {n % 14},number {n} of a long catalogue" for n in range(ROWS))
        (folder / "items.csv").write_text("sku,product,colour,note\n" + "\n".join(lines) + "\n", encoding="utf-8")
        (folder / "job.yaml").write_text(JOB)
        return run_qcgen(["plan", "job.yaml", "--json"], folder)


def measure_duplicates() -> dict[str, float]:
    """Near pairs (24 of 256 bits) in clusters of hashes; a third of them has a neighbour."""
    rng = np.random.default_rng(1)
    centres = rng.integers(0, 2, (99_000, 256), dtype=np.uint8)
    hashes = centres[rng.integers(len(centres), size=ROWS)] ^ (rng.random((ROWS, 256)) < 0.02)
    packed = np.ascontiguousarray(np.packbits(hashes, axis=1)).view(np.uint64)
    started = time.process_time()
    found = find_near(packed, 24)
    return {"processor_seconds": round(time.process_time() - started, 2), "near": len(found)}


def main(results: Path) -> None:
    measured = {"items": ROWS, "plan": measure_plan(), "near_duplicates": measure_duplicates()}
    (results / "planning.json").write_text(json.dumps(measured, indent=1) + "\n")
