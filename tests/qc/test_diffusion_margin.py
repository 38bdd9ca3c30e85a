"""The embedded teacher as a judge of outlines, on pictures of the embedded student."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.qc_subjects import TEACHER, Subject, asked, draw, vocabulary
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.find import resolve_model
from qcgen.qc.asking import asked_of, of_settings
from qcgen.qc.detectors.diffusion_margin import DiffusionMargin
from qcgen.qc.policy import load_policy, read_policy
from qcgen.qc.profile import find_profile, read_calibration, read_profile
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


def test_a_calibration_by_another_teacher_is_refused_and_one_without_it_is_not() -> None:
    profile = read_profile(find_profile("apparel-careful"))
    calibration = read_calibration(find_profile("apparel-careful").parent / str(profile.calibration))
    assert calibration.asked["teacher"] == asked_of(SETTINGS)["teacher"]
    assert of_settings(SETTINGS, calibration) == []
    assert of_settings(Settings(), calibration) == []
    other = calibration.model_copy(update={"asked": {"teacher": "another"}})
    assert ["diffusion_margin" in told for told in of_settings(SETTINGS, other)] == [True]


def test_the_careful_profile_is_the_other_one_and_the_teacher() -> None:
    plain, careful = (read_profile(find_profile(name)) for name in ("apparel", "apparel-careful"))
    assert {name: rule for name, rule in careful.detectors.items() if name != "diffusion_margin"} == plain.detectors
    assert careful.detectors["diffusion_margin"].importance > 0
    assert load_policy("apparel").settings.teacher is None


def test_a_product_is_exchanged_as_a_word_of_its_own(subjects: list[Subject]) -> None:
    one = replace(subjects[0], prompt="a skirting board that has a black skirt", key="odd")
    within = replace(one, prompt="a skirting board")
    assert _score(_batch([one])).reasons == (None,)
    assert _score(_batch([within])).reasons == ("not_applicable",)


@pytest.mark.parametrize(
    ("teacher", "error"),
    [
        ("embedded:nobody", SpecError),
        ("no/folder", PrerequisiteError),
        ("embedded:apparel", SpecError),
        ("embedded:clip-apparel", PrerequisiteError),
    ],
)
def test_what_cannot_be_a_teacher_is_told_before_anything_is_scored(
    tmp_path: Path, teacher: str, error: type[Exception]
) -> None:
    whole = json.loads(Path("qcgen/qc/profiles/apparel-careful.json").read_text())
    (tmp_path / "careful.json").write_text(json.dumps(whole | {"teacher": teacher, "calibration": None}))
    with pytest.raises(error, match="teacher"):
        read_policy(str(tmp_path / "careful.json"))
