"""The embedded teacher as a judge of outlines, on pictures of the embedded student."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.qc_subjects import TEACHER, Subject, asked, draw, vocabulary
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.find import resolve_model
from qcgen.qc.asking import asked_of
from qcgen.qc.detectors.diffusion_margin import DiffusionMargin
from qcgen.qc.policy import load_policy, read_policy
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.settings import Settings

SETTINGS = Settings(teacher=resolve_model(TEACHER))


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    # A black skirt, a black dress, a black jacket and a grey blazer, whole and plain.
    return draw((5, 7, 10, 11))


def _batch(subjects: list[Subject], settings: Settings = SETTINGS) -> Batch:
    images = torch.stack([one.image for one in subjects])
    prompts = [one.prompt for one in subjects]
    return Batch(images, prompts, [one.fields for one in subjects], vocabulary=vocabulary(), settings=settings)


def _score(batch: Batch) -> Scores:
    with torch.inference_mode():
        return DiffusionMargin().score(batch)


def test_a_picture_of_what_was_asked_has_a_larger_margin_than_under_another_products_name(
    subjects: list[Subject],
) -> None:
    own, wrong = _score(_batch(subjects)), _score(_batch([asked("product")(one) for one in subjects]))
    assert set(own.reasons) == {None}
    assert (own.values > wrong.values).all()
    assert own.values.mean() > 0 > wrong.values.mean()


def test_a_value_depends_neither_on_the_other_pictures_nor_on_the_start(subjects: list[Subject]) -> None:
    together = _score(_batch(subjects[:2])).values
    alone = torch.cat([_score(_batch([one])).values for one in reversed(subjects[:2])])
    assert torch.equal(together, alone.flip(0))


def test_a_picture_of_another_size_is_brought_to_the_teachers(subjects: list[Subject]) -> None:
    image = torch.nn.functional.interpolate(subjects[0].image[None].float(), scale_factor=2).to(torch.uint8)[0]
    large = Subject("large", image, subjects[0].prompt, subjects[0].fields)
    assert _score(_batch([large])).values[0] == pytest.approx(float(_score(_batch(subjects[:1])).values[0]), abs=0.02)


def test_where_the_question_makes_no_sense_there_is_no_value(subjects: list[Subject]) -> None:
    one = subjects[0]
    unnamed = Subject("a", one.image, "a picture", one.fields)
    unasked = Subject("b", one.image, one.prompt, {})
    wide = Subject("c", one.image[:, :64], one.prompt, one.fields)
    for odd in (unnamed, unasked, wide):
        assert _score(_batch([odd])).reasons == ("not_applicable",)
    assert _score(_batch([one], Settings())).reasons == ("not_applicable",)


def test_the_evidence_orders_the_products_by_the_teachers_error(subjects: list[Subject]) -> None:
    batch = _batch(subjects[:1])
    found = DiffusionMargin().explain(batch, 0)
    values = [bar.value for bar in found.bars]
    assert len(values) == 7
    assert values == sorted(values)
    own = [bar for bar in found.bars if bar.own]
    assert [bar.label for bar in own] == [subjects[0].fields["product"]]
    others = [bar.value for bar in found.bars if not bar.own]
    assert sum(others) / 6 - own[0].value == pytest.approx(float(_score(batch).values[0]), abs=2e-4)


def test_a_profile_names_its_teacher_and_the_calibration_keeps_its_digest(tmp_path: Path) -> None:
    whole = json.loads(Path("qcgen/qc/profiles/apparel-careful.json").read_text()) | {"calibration": None}
    (tmp_path / "careful.json").write_text(json.dumps(whole))
    policy = read_policy(str(tmp_path / "careful.json"))
    assert policy.settings.teacher is not None
    assert asked_of(policy.settings)["teacher"] != asked_of(Settings()).get("teacher")
    assert load_policy("apparel").settings.teacher is None


@pytest.mark.parametrize(("teacher", "error"), [("embedded:nobody", SpecError), ("no/folder", PrerequisiteError)])
def test_a_teacher_that_is_not_there_is_told(tmp_path: Path, teacher: str, error: type[Exception]) -> None:
    whole = json.loads(Path("qcgen/qc/profiles/apparel-careful.json").read_text())
    (tmp_path / "careful.json").write_text(json.dumps(whole | {"teacher": teacher, "calibration": None}))
    with pytest.raises(error, match="teacher"):
        read_policy(str(tmp_path / "careful.json"))
