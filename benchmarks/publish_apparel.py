"""Puts newly trained apparel models into the package: python -m benchmarks.publish_apparel (from the repository).

Before it: the jobs in jobs/train and jobs/distill. After it: `qcgen eval` and `qcgen models card` of each model,
`make sample`, and a new calibration (jobs/calibrate). `--student-only` replaces the student by its last stage and
leaves the decoder and the teacher that are in the package.
"""

import argparse
import shutil
from pathlib import Path

from qcgen.models.find import ASSETS
from qcgen.pipeline.publish import keep_logs, publish_student, publish_teacher

STUDENT, TEACHER = ASSETS / "apparel", ASSETS / "teacher-apparel"
TRAINED, DISTILLED = Path("out/train"), Path("out/distill")
STAGES = {"distillation": "apparel", "refinement": "apparel-refine", "balance": "apparel-balance"}


def replace_student() -> None:
    """The student of the last stage, with the logs of the stages that were trained here."""
    publish_student(DISTILLED / STAGES["balance"] / "student", STUDENT, teacher="embedded:teacher-apparel", measures={})
    logs = {name: DISTILLED / folder / "events.jsonl" for name, folder in STAGES.items()}
    keep_logs({name: log for name, log in logs.items() if log.is_file()}, STUDENT)


def replace_all() -> None:
    """Every apparel model but the CLIP."""
    for folder in (STUDENT, TEACHER):
        for part in ("unet", "vae", "scheduler", "text_encoder", "tokenizer", "training"):
            shutil.rmtree(folder / part, ignore_errors=True)
    replace_student()
    # The decoder's second stage learns from the distillation's pairs, so it is newer than the student's own copy.
    shutil.rmtree(STUDENT / "vae")
    shutil.copytree(TRAINED / "decoder-apparel" / "vae", STUDENT / "vae")
    publish_teacher(TRAINED / "teacher-apparel", TEACHER, shares_with=STUDENT, measures={})
    logs = {"autoencoder": TRAINED / "autoencoder-apparel", "decoder": TRAINED / "decoder-apparel"}
    keep_logs({name: folder / "log.jsonl" for name, folder in logs.items()}, STUDENT)
    keep_logs({"teacher": TRAINED / "teacher-apparel" / "log.jsonl"}, TEACHER)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--student-only", action="store_true")
    (replace_student if parser.parse_args().student_only else replace_all)()
