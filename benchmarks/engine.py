"""Engine images/s against the same student's pure forward and decode, interleaved in one process.

The demo's job with 16 pictures an item, so that what happens once a run does not decide, and with one attempt each:
what the checks send back is their cost, as their own seconds are.
"""

import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch
from ruamel.yaml import YAML

from qcgen.cli.options import Device
from qcgen.cli.run import work
from qcgen.cli.wiring import opened, prepare, prepare_torch
from qcgen.generate.noise import stack_noise
from qcgen.models.embedded import load_student
from qcgen.models.find import resolve_model
from qcgen.models.protocol import Student

BATCH = 64
PER_ITEM = 16
ROUNDS = 3


def pure_seconds(student: Student, images: int) -> float:
    """Noise, one call, decode, uint8; conditions ready, no files, no checks."""
    cond = student.embed(["a photo of a red dress"]).expand(BATCH, -1, -1)
    noise = stack_noise(range(BATCH), student.latent_shape)
    started = time.perf_counter()
    for _ in range(images // BATCH):
        pixels = student.decode(student.generate(noise, cond))
        (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    return time.perf_counter() - started


def enlarge(job: Path, folder: Path) -> Path:
    """The job with more pictures an item and no second attempts, beside a copy of its table."""
    yaml = YAML()
    spec = yaml.load(job.read_text())
    spec["items"]["images_per_item"] = PER_ITEM
    spec["qc"]["retry"]["max_attempts"] = 1
    table = (job.parent / spec["items"]["table"]).resolve()
    shutil.copy(table, folder / table.name)
    spec["items"]["table"] = table.name
    yaml.dump(spec, folder / "job.yaml")
    return folder / "job.yaml"


def measure(job: Path) -> dict[str, object]:
    """Medians over interleaved rounds; the engine's time is told with and without its QC stage."""
    prepare_torch()
    student = load_student(resolve_model("embedded:apparel"))
    pure_seconds(student, BATCH)
    pure, engine, apart = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder, opened(f"sqlite:///{folder}/bench.db") as store:
            prepared = prepare(enlarge(job, Path(folder)))
            run, _ = work(prepared, store, out=Path(folder) / "out", limit=None, device=Device.CPU, with_report=False)
            engine.append(run.planned / run.seconds)
            apart.append(run.planned / (run.seconds - run.seconds_by_stage["qc"]))
            pure.append(run.planned / pure_seconds(student, run.planned))
    return {
        "images": run.planned,
        "batch": BATCH,
        "rounds": ROUNDS,
        "threads": torch.get_num_threads(),
        "pure_images_per_s": round(statistics.median(pure), 2),
        "engine_images_per_s": round(statistics.median(engine), 2),
        "engine_without_qc_images_per_s": round(statistics.median(apart), 2),
        "ratio": round(statistics.median(engine) / statistics.median(pure), 3),
        "ratio_without_qc": round(statistics.median(apart) / statistics.median(pure), 3),
        "seconds_by_stage_of_the_last_round": {name: round(value, 3) for name, value in run.seconds_by_stage.items()},
    }


def main(results: Path) -> None:
    (results / "engine.json").write_text(json.dumps(measure(Path("jobs/demo.yaml")), indent=1) + "\n")
