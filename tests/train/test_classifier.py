"""Classifiers from the embedded CLIP's tower: they learn an image set's labels, and what cannot be learned is told."""

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.trainspec import ClassifierTraining
from qcgen.data.imageset import read_image_set
from qcgen.models.card import read_card
from qcgen.models.classifier import CLIP_CONFIG, Classifier, classify, load_classifier, save_classifier
from qcgen.models.find import resolve_model
from qcgen.pipeline.train import run_training

CLIP = "embedded:clip-apparel"


def job(data: Path, out: Path, *, steps: int = 2, **changes: object) -> ClassifierTraining:
    body = {
        "version": 1,
        "kind": "classifier",
        "name": "classifier",
        "out": out,
        "clip": CLIP,
        "data": {"path": data},
        "data_licence": "CC0-1.0",
        "optim": {"lr": 2e-3, "batch": 16, "steps": steps, "warmup": 1, "ema": 0.5},
        "threads": 1,
        **changes,
    }
    return ClassifierTraining.model_validate(body)


def own_chance(folder: Path, data: Path) -> float:
    """Mean probability of the pictures' own products."""
    pictures = read_image_set(data)
    found = classify(load_classifier(folder), pictures.images, [{"product": name} for name in pictures.products])
    logs = found["product"].logs
    return float(np.mean([logs[row, cast(int, place)].exp() for row, place in enumerate(found["product"].own)]))


def test_a_classifier_learns_what_the_labels_say(tiny_set: Path, tmp_path: Path) -> None:
    for steps in (1, 40):
        measured = run_training(job(tiny_set, tmp_path / str(steps), steps=steps), say=lambda _: None)
    assert own_chance(tmp_path / "40", tiny_set) > own_chance(tmp_path / "1", tiny_set) + 0.2
    found = cast(dict[str, dict[str, float]], measured)
    assert set(found) == {"held_out", "trained"}
    assert found["trained"]["product n"] + found["held_out"]["product n"] == len(read_image_set(tiny_set))
    assert found["trained"]["product top1"] > 1.5 / found["trained"]["product values"]
    card = read_card(tmp_path / "40")
    assert (card.kind, card.licence, card.lineage[0].relation) == ("classifier", "LicenseRef-own", "initialised_from")
    assert card.lineage[0].digest == resolve_model(CLIP).digest


def test_a_stopped_training_goes_on_to_the_same_bytes(tiny_set: Path, tmp_path: Path) -> None:
    for name, steps in (("whole", 4), ("stopped", 2)):
        run_training(job(tiny_set, tmp_path / name, steps=4, checkpoint_every=steps), say=lambda _: None)
    again = tmp_path / "stopped"
    (again / "classifier.safetensors").unlink()
    run_training(job(tiny_set, again, steps=4), say=lambda _: None)
    whole = (tmp_path / "whole" / "classifier.safetensors").read_bytes()
    assert (again / "classifier.safetensors").read_bytes() == whole


def test_capitals_do_not_matter_and_an_unknown_value_has_no_place() -> None:
    config = json.loads((resolve_model(CLIP).folder / CLIP_CONFIG).read_text())
    made = Classifier(config, {"product": ["Hat", "shoes"]})
    assert [made.place("product", value) for value in ("hat ", "SHOES", "boat", "", None)] == [0, 1, None, None, None]
    assert made.place("colour", "red") is None


def test_what_a_folder_cannot_give_is_told_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(
        PrerequisiteError, match=r"lacks classifier.safetensors, classifier.json, open_clip_config.json"
    ):
        load_classifier(tmp_path)
    config = json.loads((resolve_model(CLIP).folder / CLIP_CONFIG).read_text())
    save_classifier(Classifier(config, {"product": ["hat", "shoes"]}), tmp_path)
    assert load_classifier(tmp_path).classes == {"product": ("hat", "shoes")}
    weights = {name: value.clone() for name, value in load_file(tmp_path / "classifier.safetensors").items()}
    whole = {
        name: (tmp_path / name).read_bytes() for name in ("classifier.safetensors", "classifier.json", CLIP_CONFIG)
    }
    damaged = {
        "classifier.safetensors": [whole["classifier.safetensors"][:1000], b""],
        "classifier.json": [
            *(b"{", b"[4]", b'{"product": 4}', b'{"product": ["hat"]}', b"\xff", b'{"product": [1, 2]}'),
            *(b'{"product": []}', b'{"product": ["hat", "hat"]}', b'{"product": ["hat", " "]}'),
        ],
        CLIP_CONFIG: [
            b"{",
            b"{}",
            b'{"model_cfg": {}}',
            whole[CLIP_CONFIG].replace(b"embed_dim", b"depth"),
            whole[CLIP_CONFIG].replace(b'"vision_cfg": {', b'"vision_cfg": {"timm_model_name": "resnet50",'),
        ],
    }
    for name, contents in damaged.items():
        for content in contents:
            (tmp_path / name).write_bytes(content)
            with pytest.raises(PrerequisiteError, match=r"damaged classifier, or one of another make. Cure: train"):
                load_classifier(tmp_path)
        (tmp_path / name).write_bytes(whole[name])
    broken = {name: value * float("nan") if value.is_floating_point() else value for name, value in weights.items()}
    save_file(broken, tmp_path / "classifier.safetensors")
    with pytest.raises(PrerequisiteError, match="damaged classifier"):
        load_classifier(tmp_path)
    save_file({f"older.{name}": value for name, value in weights.items()}, tmp_path / "classifier.safetensors")
    with pytest.raises(PrerequisiteError, match="damaged classifier"):
        load_classifier(tmp_path)


def test_a_field_with_one_value_and_a_clip_that_is_none_are_told(tiny_set: Path, tmp_path: Path) -> None:
    with np.load(tiny_set, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    columns["caption"] = np.array([f"a photo of a {colour} hat" for colour in columns["colour"]])
    np.savez(tmp_path / "hats.npz", **columns)
    with pytest.raises(SpecError, match=r"fields: product has 1 value in hats.npz. Cure: more values"):
        run_training(job(tmp_path / "hats.npz", tmp_path / "h"), say=lambda _: None)
    with pytest.raises(SpecError, match="clip: 'embedded:nobody' is not"):
        run_training(job(tiny_set, tmp_path / "i", clip="embedded:nobody"), say=lambda _: None)
    with pytest.raises(PrerequisiteError, match=CLIP_CONFIG):
        run_training(job(tiny_set, tmp_path / "j", clip="embedded:apparel"), say=lambda _: None)
