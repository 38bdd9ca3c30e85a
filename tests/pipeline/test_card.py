"""Cards are rendered from facts: of a small folder, and those that are committed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.core.errors import SpecError
from qcgen.models.find import ASSETS, embedded_models, resolve_model
from qcgen.pipeline.card import default_sheet, read_measures, render_page, write_facts, write_page
from qcgen.pipeline.evaluate import Estimate, Evaluation, Histogram, Source, to_json
from qcgen.pipeline.publish import write_card


def _evaluation(digest: str, value: float = 2.0, *, kind: str = "student") -> Evaluation:
    def estimate(unit: str, number: float) -> Estimate:
        return Estimate(number, number / 10, 500, unit, "lower", "bootstrap")

    repeated = {"frechet": tuple(value * (1 + i / 100) for i in range(-5, 6))}
    measures = {"frechet": estimate("x 100", value)} | {
        f"copying_{name}": estimate("share", number) for name, number in (("z", 0.5), ("auc", 0.5), ("tail", 0.01))
    }
    return Evaluation(
        model=Source("some", digest),
        kind=kind,
        network_calls=1 if kind == "student" else 40,
        guidance_scale=None if kind == "student" else 2.0,
        encoder=Source("embedded:clip-apparel", "e" * 64),
        data=Source("set.npz", "d" * 64),
        real=4000,
        held_out=500,
        n=500,
        seed=7,
        machine="x86_64",
        pictures_per_second=20.0,
        measures=measures,
        nearest=Histogram((0.0, 0.1, 0.2), (3, 4), (1, 2)),
        prompts=("a photo of a red hat", "a photo of a blue hat"),
        repeated=repeated,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "hats"
    folder.mkdir()
    card = {
        "name": "hats",
        "kind": "student",
        "licence": "Apache-2.0",
        "lineage": [{"relation": "distilled_from", "parent": "teacher-hats", "licence": "CC0-1.0"}],
        "notes": {"summary": "a student that draws hats", "use": "hats only", "background": "It was tried."},
    }
    (folder / "qcgen_model.json").write_text(json.dumps(card))
    (folder / "qcgen_student.json").write_text("{}")
    return folder


def test_a_card_holds_the_notes_the_lineage_and_the_numbers_with_their_errors(folder: Path, tmp_path: Path) -> None:
    ref = resolve_model(str(folder))
    mine, teacher = tmp_path / "mine.json", tmp_path / "teacher.json"
    mine.write_text(json.dumps(to_json(_evaluation(ref.digest))))
    teacher.write_text(json.dumps(to_json(_evaluation("t" * 64, 4.0, kind="teacher"))))
    write_facts(folder, read_measures(ref, mine, teacher), default_sheet(("a photo of a red hat",)))
    (folder / "sheet.webp").touch()
    (folder / "nearest.svg").touch()
    text = write_page(folder).read_text()
    assert text.startswith("# hats: a student that draws hats\n\n- **Use**: hats only\n")
    assert "Distilled from teacher-hats (CC0-1.0)." in text
    # The pair of repetitions moves together, so that the ratio has no error.
    assert "| frechet (x 100) | 2.00 ± 0.20 | 4.00 ± 0.40 | 0.500 ± 0.000 |" in text
    assert "500 pictures with the captions of random rows, seed 7" in text
    assert "![Contact sheet](sheet.webp)" in text
    assert "seeds 0 to 7" in text
    assert "(nearest.svg)" in text
    assert text.endswith("It was tried.\n")
    # Rendering is a function of the folder, and the card's own prose does not change what it pins.
    assert render_page(folder) == text
    assert resolve_model(str(folder)).digest == ref.digest


def test_an_evaluation_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(to_json(_evaluation("0" * 64))))
    with pytest.raises(SpecError, match="qcgen eval"):
        read_measures(resolve_model(str(folder)), path)


def test_a_teacher_measured_on_other_seeds_is_refused(folder: Path, tmp_path: Path) -> None:
    ref = resolve_model(str(folder))
    mine, teacher = tmp_path / "mine.json", tmp_path / "teacher.json"
    mine.write_text(json.dumps(to_json(_evaluation(ref.digest))))
    teacher.write_text(json.dumps(to_json(replace(_evaluation("t" * 64), seed=8))))
    with pytest.raises(SpecError, match="seed must be the same"):
        read_measures(ref, mine, teacher)


def test_a_card_without_measures_says_how_to_make_them(folder: Path) -> None:
    assert "Not measured yet: `qcgen eval`" in render_page(folder)


def test_publishing_new_weights_keeps_the_notes_and_drops_the_old_sheet(folder: Path) -> None:
    write_facts(folder, None, default_sheet(("a photo of a red hat",)))
    (folder / "sheet.webp").touch()
    assert "Unpicked pictures" in render_page(folder)
    write_card(folder, kind="student", lineage=[], measures={})
    text = render_page(folder)
    assert "hats only" in text
    assert "Unpicked pictures" not in text


def test_a_folder_without_a_card_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"qcgen_model\.json"):
        write_facts(tmp_path, None, None)


@pytest.mark.parametrize("name", embedded_models())
def test_the_committed_cards_are_what_the_facts_give(name: str) -> None:
    # Cure when this fails: qcgen models card embedded:NAME [--eval JSON]
    assert (ASSETS / name / "CARD.md").read_text(encoding="utf-8") == render_page(ASSETS / name)
