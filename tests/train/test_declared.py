"""What a training's card says of its descent, and what the licence gate makes of it."""

import json
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from qcgen.core.errors import BlockedError
from qcgen.core.trainspec import AutoencoderTraining
from qcgen.core.types import Lineage
from qcgen.models.card import digest, read_card
from qcgen.pipeline.card import describe_parts, render_page
from qcgen.pipeline.descent import OWN, descent
from qcgen.pipeline.distill import prepare
from qcgen.pipeline.train import run_training
from tests.train.tinychain import distillation, teacher_training


def test_each_training_of_a_chain_names_its_pictures_and_the_models_that_it_used(chain: Path, tiny_set: Path) -> None:
    pictures = Lineage("trained_on", tiny_set.name, "CC0-1.0")
    watched = Lineage("trained_with", "clip", OWN, digest(chain / "clip"))
    includes = [
        Lineage("includes", name, OWN, digest(chain / folder))
        for name, folder in (("clip", "clip"), ("ae", "autoencoder"))
    ]
    expected = {
        "clip": ("clip", (pictures,)),
        "autoencoder": ("autoencoder", (watched, pictures)),
        "teacher": ("teacher", (includes[0], pictures, includes[1], watched)),
    }
    for folder, (kind, lineage) in expected.items():
        card = read_card(chain / folder)
        assert (card.kind, card.licence, card.lineage) == (kind, OWN, lineage)
        assert (chain / folder / "CARD.md").read_text() == render_page(chain / folder)
    # Neither a training's checkpoint nor the latents beside it are parts of the model.
    assert [len(describe_parts(chain / folder)) for folder in expected] == [1, 1, 3]
    assert "psnr refined db" in (chain / "autoencoder" / "CARD.md").read_text()


@pytest.mark.parametrize(
    ("data_licence", "told"),
    [
        ("CC0-1.0", None),
        ("", "No licence is declared for trained_on tiny.npz"),
        ("CC-BY-NC-4.0", "trained_on tiny.npz is under 'CC-BY-NC-4.0': students for research only"),
        ("Fancy Pictures 3", "The licence 'Fancy Pictures 3' of trained_on tiny.npz is not in the table"),
    ],
)
def test_the_licence_of_the_pictures_decides_on_commercial_students(
    data_licence: str, told: str | None, chain: Path, tiny_set: Path, tmp_path: Path
) -> None:
    teacher, said = tmp_path / "teacher", list[str]()
    shutil.copytree(chain / "teacher", teacher)
    # Nothing is left to train: the last step is in the checkpoint.
    run_training(teacher_training(chain, tiny_set, teacher, data_licence=data_licence), say=said.append)
    assert any("data_licence: must be given" in line for line in said) == (not data_licence)
    spec = distillation(chain, tiny_set, steps=1)
    commercial = spec.model_copy(update={"teacher": teacher, "purpose": "commercial"})
    if told is None:
        assert prepare(commercial, say=print).card.lineage == read_card(teacher).lineage
        return
    with pytest.raises(BlockedError, match=told):
        prepare(commercial, say=print)
    prepare(commercial.model_copy(update={"purpose": "research"}), say=print)


def test_a_card_that_somebody_wrote_by_hand_stays(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    teacher, said = tmp_path / "teacher", list[str]()
    shutil.copytree(chain / "teacher", teacher)
    own = {"name": "t", "kind": "teacher", "licence": "MIT", "lineage": []}
    (teacher / "qcgen_model.json").write_text(json.dumps(own))
    run_training(teacher_training(chain, tiny_set, teacher), say=said.append)
    assert json.loads((teacher / "qcgen_model.json").read_text()) == own
    assert "was written by somebody else and stays. Cure" in said[-1]


def test_latents_of_a_distillation_hand_their_teachers_terms_on(chain: Path, tiny_set: Path, tmp_path: Path) -> None:
    body = {
        "version": 1,
        "kind": "autoencoder",
        "name": "second",
        "out": tmp_path,
        "data": {"path": tiny_set},
        "data_licence": "MIT",
        "optim": {"lr": 1e-3, "batch": 8, "steps": 1},
        "init": chain / "autoencoder",
    }
    samples = chain / "distilled" / "pairs.safetensors"
    made = descent(AutoencoderTraining.model_validate({**body, "samples": samples}))
    student = read_card(chain / "distilled" / "student")
    assert made[0] == Lineage("initialised_from", "ae", OWN, digest(chain / "autoencoder"))
    assert Lineage("distilled_from", "pairs.safetensors of d", OWN) in made
    assert set(student.lineage) < set(made)
    assert made[-1] == Lineage("trained_on", tiny_set.name, "MIT")
    # Of a folder without a student nothing is known, which the gate refuses commercial work for.
    unknown = descent(AutoencoderTraining.model_validate({**body, "samples": tmp_path / "pairs.safetensors"}))
    assert any(edge.licence == "" for edge in unknown)


@pytest.mark.parametrize(("folder", "licence"), [("train", "CC0-1.0"), ("fashion", "MIT")])
def test_every_job_that_trains_says_what_its_pictures_are_under(folder: str, licence: str, root: Path) -> None:
    for path in (root / "jobs" / folder).glob("*.yaml"):
        job = YAML(typ="safe").load(path)
        assert job["data_licence" if "kind" in job else "captions_licence"] == licence, path
