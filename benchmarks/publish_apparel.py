"""Puts newly trained apparel models into the package: python -m benchmarks.publish_apparel (from the repository).

Before it: the jobs in jobs/train and jobs/distill. After it: `qcgen eval` and `qcgen models card` of each model,
`make sample`, and a new calibration (jobs/calibrate).
"""

import shutil
from pathlib import Path

from qcgen.models.find import ASSETS
from qcgen.pipeline.publish import keep_logs, publish_student, publish_teacher

TRAINED = Path("out/train")
STARTED, DISTILLED = Path("out/distill/apparel"), Path("out/distill/apparel-refine")


def main() -> None:
    student, teacher = ASSETS / "apparel", ASSETS / "teacher-apparel"
    for folder in (student, teacher):
        for part in ("unet", "vae", "scheduler", "text_encoder", "tokenizer", "training"):
            shutil.rmtree(folder / part, ignore_errors=True)
    publish_student(DISTILLED / "student", student, teacher="embedded:teacher-apparel", measures={})
    # The decoder's second stage learns from the distillation's pairs, so it is newer than the student's own copy.
    shutil.rmtree(student / "vae")
    shutil.copytree(TRAINED / "decoder-apparel" / "vae", student / "vae")
    publish_teacher(TRAINED / "teacher-apparel", teacher, shares_with=student, measures={})
    logs = {"autoencoder": TRAINED / "autoencoder-apparel", "decoder": TRAINED / "decoder-apparel"}
    keep_logs({name: folder / "log.jsonl" for name, folder in logs.items()}, student)
    keep_logs({"distillation": STARTED / "events.jsonl", "refinement": DISTILLED / "events.jsonl"}, student)
    keep_logs({"teacher": TRAINED / "teacher-apparel" / "log.jsonl"}, teacher)


if __name__ == "__main__":
    main()
