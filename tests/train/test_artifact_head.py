"""The head that points at local artifacts: it learns from planted ones, and what cannot be trained is told."""

from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file, save_file

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.trainspec import ArtifactHeadTraining
from qcgen.data.imageset import read_image_set
from qcgen.models.artifacthead import ArtifactHead, load_head, save_head, scale, worst_cells
from qcgen.models.card import read_card
from qcgen.pipeline.train import run_training
from qcgen.qc.registry import find_corruptions
from qcgen.qc.separation import auroc

Found = dict[str, dict[str, float]]


def job(chain: Path, tiny_set: Path, out: Path, *, steps: int = 2, **changes: object) -> ArtifactHeadTraining:
    body = {
        "version": 1,
        "kind": "artifact_head",
        "name": "head",
        "out": out,
        "student": str(chain / "distilled" / "student"),
        "data": {"path": tiny_set},
        "data_licence": "CC0-1.0",
        "draws": 16,
        "width": 8,
        "seen": ("cut_paste",),
        "unseen": ("missing_part",),
        "area": (0.05, 0.1),
        "optim": {"lr": 5e-3, "batch": 8, "steps": steps, "warmup": 1, "ema": 0.5},
        "threads": 1,
        **changes,
    }
    return ArtifactHeadTraining.model_validate(body)


def seen_by(folder: Path, tiny_set: Path) -> float:
    """AUROC of 48 pictures with a pasted square against the same without, and so four times."""
    head, images, generator = load_head(folder), read_image_set(tiny_set).images, torch.Generator().manual_seed(3)
    paste = find_corruptions()["cut_paste"]
    clean = worst_cells(head(scale(images))).repeat(4).numpy()
    spoiled = [paste.apply(image, 0.08, generator).image for _ in range(4) for image in images]
    return auroc(clean.astype(float), worst_cells(head(scale(torch.stack(spoiled)))).numpy().astype(float))


def test_the_head_learns_to_see_what_is_planted(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    for steps in (1, 150):
        measured = run_training(job(chain, tiny_set, tmp_path / str(steps), steps=steps), say=lambda _: None)
    found = cast(Found, measured)
    assert set(found) == {"held_out_photos", "student"}
    assert set(found["student"]) == {
        "n",
        *(
            f"{kind} {number}"
            for kind in ("cut_paste (seen)", "missing_part (unseen)")
            for number in ("auroc", "pointing")
        ),
    }
    # Over three seeds: .51 to .57 after one step, .84 to .96 after 150.
    assert seen_by(tmp_path / "150", tiny_set) > max(0.7, seen_by(tmp_path / "1", tiny_set) + 0.1)
    card = read_card(tmp_path / "150")
    assert (card.kind, card.licence) == ("artifact_head", "LicenseRef-own")
    assert card.lineage[0].relation == "trained_on_outputs_of"


def test_a_saved_head_gives_the_same_numbers_and_takes_any_size(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    run_training(job(chain, tiny_set, tmp_path / "h"), say=lambda _: None)
    head = load_head(tmp_path / "h")
    images = read_image_set(tiny_set).images[:2]
    once, again = head(scale(images)), load_head(tmp_path / "h")(scale(images))
    assert torch.equal(once, again)
    assert worst_cells(once).shape == (2,)
    assert head(scale(torch.zeros((1, 3, 300, 517), dtype=torch.uint8))).shape == (1, 64, 110)
    assert head(scale(torch.zeros((1, 3, 100, 96), dtype=torch.uint8))).shape == (1, 24, 24)
    with pytest.raises(PrerequisiteError, match=r"lacks artifact_head.safetensors"):
        load_head(tmp_path)
    weights = load_file(tmp_path / "h" / "artifact_head.safetensors")
    save_file({f"older.{name}": value for name, value in weights.items()}, tmp_path / "h" / "artifact_head.safetensors")
    with pytest.raises(
        PrerequisiteError, match=r"h: holds a damaged head, or one of another make. Cure: train it again"
    ):
        load_head(tmp_path / "h")


@pytest.mark.parametrize("config", ['{"width": 8, "depth": 2}', "[8]", "{", '{"width": "wide"}', '{"width": -1}'])
def test_a_head_that_this_version_cannot_build_is_told_with_its_cure(config: str, tmp_path: Path) -> None:
    save_head(ArtifactHead(8), tmp_path)
    assert load_head(tmp_path).width == 8
    (tmp_path / "artifact_head.json").write_text(config)
    with pytest.raises(PrerequisiteError, match=r"holds a damaged head, or one of another make. Cure: train"):
        load_head(tmp_path)


def test_weights_that_were_cut_off_are_told_with_their_cure(tmp_path: Path) -> None:
    save_head(ArtifactHead(8), tmp_path)
    whole = (tmp_path / "artifact_head.safetensors").read_bytes()
    (tmp_path / "artifact_head.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PrerequisiteError, match=r"holds a damaged head, or one of another make. Cure: train"):
        load_head(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seen": ("gaussian_blur",)}, "gaussian_blur is no local corruption"),
        ({"unseen": ("cut_paste",)}, "cut_paste is trained on"),
        ({"seen": ()}, "must name at least one"),
        ({"seen": ("imprints",)}, "imprints is no local corruption. Did you mean 'imprint'"),
    ],
)
def test_what_cannot_be_planted_is_told(
    chain: Path, tiny_set: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        run_training(job(chain, tiny_set, tmp_path / "h", **changes), say=lambda _: None)
