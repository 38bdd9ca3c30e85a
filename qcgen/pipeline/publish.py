"""Trained models to shipped ones: complete folders with a card, and parts shared instead of copied."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from qcgen.core.types import Card, Lineage
from qcgen.models.card import CARD_FILE, read_card
from qcgen.pipeline.card import write_page

APPAREL_DATA = Lineage("trained_on", "clothing-dataset (alexeygrigorev), commit 7ed86a9cc567", "CC0-1.0")
_ROWS_KEPT = 60
_MADE_BY, _TRAIN = "made_by", "qcgen train"
_SUMMARIES = {
    "clip": "an open_clip model",
    "autoencoder": "a patch autoencoder",
    "teacher": "a multi-step teacher",
    "stock_decoder": "a stock decoder for the latents of a student",
    "classifier": "a classifier of the products and colours of garment pictures",
    "artifact_head": "a head that points at what does not belong in a picture",
}


def publish_student(distilled: Path, folder: Path, *, teacher: str, measures: Mapping[str, object]) -> None:
    """Copy a student folder made by `run_distillation` and write its card."""
    _copy(distilled, folder, ["unet", "vae", "scheduler", "text_encoder", "tokenizer", "qcgen_student.json"])
    edges = [Lineage("distilled_from", teacher, "Apache-2.0"), APPAREL_DATA]
    write_card(folder, kind="student", lineage=edges, measures=measures)


def publish_teacher(trained: Path, folder: Path, *, shares_with: Path, measures: Mapping[str, object]) -> None:
    """Copy the teacher's own parts; autoencoder, text tower and tokenizer are taken from the student's folder
    beside it."""
    _copy(trained, folder, ["unet", "scheduler"])
    shared = {name: f"../{shares_with.name}/{name}" for name in ("vae", "text_encoder", "tokenizer")}
    write_card(folder, kind="teacher", lineage=[APPAREL_DATA], measures=measures, shared=shared)


def declare_student(
    folder: Path, teacher: Card, *, teacher_digest: str, name: str, purpose: str, notes: Mapping[str, str]
) -> None:
    """Write the card of a student that was just distilled: its teacher's licence, the teacher pinned by digest, and
    everything that the teacher descends from."""
    first = Lineage("distilled_from", teacher.name, teacher.licence or "", teacher_digest)
    write_card(
        folder,
        kind="student",
        lineage=[first, *teacher.lineage],
        measures={},
        licence=teacher.licence,
        notes={"summary": f"a one-step student of {teacher.name}", "purpose": purpose, **notes},
        name=name,
    )


def declare_trained(
    folder: Path,
    *,
    kind: str,
    name: str,
    lineage: Sequence[Lineage],
    licence: str | None,
    measures: Mapping[str, object],
    recipe: str,
) -> bool:
    """Write the card and the page of a model that was just trained.

    Returns:
        False where somebody else's card is there: it stays as it is, for its writer may know more.
    """
    if (folder / CARD_FILE).is_file() and read_card(folder).notes.get(_MADE_BY) != _TRAIN:
        return False
    notes = {"summary": _SUMMARIES[kind], "recipe": recipe, _MADE_BY: _TRAIN}
    write_card(folder, kind=kind, lineage=lineage, measures=measures, licence=licence, notes=notes, name=name)
    write_page(folder)
    return True


def keep_logs(logs: Mapping[str, Path], folder: Path) -> None:
    """Write the course of each training as `training/NAME.csv`, at most 60 rows of its log of JSON lines."""
    (folder / "training").mkdir(parents=True, exist_ok=True)
    for name, log in logs.items():
        rows = pd.read_json(log, lines=True)
        if "event" in rows:
            # Of a distillation's events only the steps have a course.
            rows = rows[rows["event"] == "step"].dropna(axis="columns", how="all")
        places = np.unique(np.linspace(0, len(rows) - 1, _ROWS_KEPT).round().astype(int))
        numbers = rows.iloc[places].select_dtypes("number").drop(columns="time_s", errors="ignore")
        numbers.to_csv(folder / "training" / f"{name}.csv", index=False, float_format="%.5g")


def write_card(
    folder: Path,
    *,
    kind: str,
    lineage: Sequence[Lineage],
    measures: Mapping[str, object],
    licence: str | None = "Apache-2.0",
    shared: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
    name: str | None = None,
) -> None:
    """Write `qcgen_model.json`: the card that the licence gate and `qcgen models` read.

    The notes of a card that is there already (use, limits, data, recipe, ...) stay, but for those in `notes`;
    `qcgen models card` then measures the sheet and renders CARD.md.
    """
    card = {
        "name": name or folder.name,
        "kind": kind,
        "licence": licence,
        "lineage": [
            {key: value for key, value in asdict(edge).items() if key != "digest" or value} for edge in lineage
        ],
        "shared": dict(shared or {}),
        "notes": {**read_card(folder).notes, **(notes or {})},
        "measures": dict(measures),
    }
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")


def _copy(source: Path, folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, folder / name)
