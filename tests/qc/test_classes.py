"""The embedded classifier as a judge of product and colour, on pictures of the embedded student."""

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.qc_subjects import CLASSIFIER, Subject, asked, draw
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.models.find import resolve_model
from qcgen.qc.asking import asked_of, of_settings
from qcgen.qc.evidence import Explainer
from qcgen.qc.policy import read_policy
from qcgen.qc.profile import find_profile, read_calibration, read_profile
from qcgen.qc.protocol import Batch, Detector
from qcgen.qc.registry import find_detectors
from qcgen.qc.settings import Settings

SETTINGS = Settings(classifier=resolve_model(CLASSIFIER))
DETECTORS = [(find_detectors()["garment_class"], "product"), (find_detectors()["colour_class"], "colour")]


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    return draw(range(24))


def _batch(subjects: list[Subject], settings: Settings = SETTINGS) -> Batch:
    images = torch.stack([one.image for one in subjects])
    return Batch(images, [""] * len(images), [one.fields for one in subjects], settings=settings)


@pytest.mark.parametrize(("detector", "field"), DETECTORS)
def test_what_was_asked_is_likelier_than_another_value(detector: Detector, field: str, subjects: list[Subject]) -> None:
    own = detector.score(_batch(subjects)).values
    wrong = detector.score(_batch([asked(field)(one) for one in subjects])).values
    assert (own < wrong).float().mean() >= 0.8
    assert own.median() < math.log(2) < wrong.median()


@pytest.mark.parametrize(("detector", "field"), DETECTORS)
def test_the_evidence_is_the_probability_behind_the_score(
    detector: Detector, field: str, subjects: list[Subject]
) -> None:
    assert isinstance(detector, Explainer)
    batch = _batch(subjects)
    for index in range(4):
        bars = detector.explain(batch, index).bars
        own = [bar for bar in bars if bar.own]
        assert [bar.label for bar in own] == [subjects[index].fields[field]]
        assert 5 <= len(bars) <= 6
        assert [bar.value for bar in bars[:5]] == sorted((bar.value for bar in bars[:5]), reverse=True)
        assert math.exp(-float(detector.score(batch).values[index])) == pytest.approx(own[0].value, abs=1e-4)


@pytest.mark.parametrize(("detector", "field"), DETECTORS)
def test_where_nothing_can_be_asked_there_is_no_value(detector: Detector, field: str, subjects: list[Subject]) -> None:
    one = subjects[0]
    unknown = Subject("a", one.image, "", {**one.fields, field: "boat"})
    unasked = Subject("b", one.image, "", {})
    assert detector.score(_batch([unknown, unasked, one])).reasons == ("not_applicable", "not_applicable", None)
    assert detector.score(_batch([one], Settings())).reasons == ("not_applicable",)


@pytest.mark.parametrize(("detector", "field"), DETECTORS)
def test_a_value_does_not_depend_on_the_other_pictures(detector: Detector, field: str, subjects: list[Subject]) -> None:
    together = detector.score(_batch(subjects[:4])).values
    assert torch.equal(detector.score(_batch(subjects[3:4])).values, together[3:])


def test_a_picture_of_any_shape_has_a_value() -> None:
    for shape in ((3, 1, 1), (3, 7, 900), (3, 300, 200)):
        one = Subject("odd", torch.zeros(shape, dtype=torch.uint8), "", {"product": "hat", "colour": "black"})
        for detector, _ in DETECTORS:
            found = detector.score(_batch([one]))
            assert found.reasons == (None,)
            assert math.isfinite(float(found.values[0]))


def test_a_calibration_by_another_classifier_is_refused_and_one_without_it_is_not() -> None:
    path = find_profile("apparel")
    calibration = read_calibration(path.parent / str(read_profile(path).calibration))
    assert calibration.asked["classifier"] == asked_of(SETTINGS)["classifier"]
    assert of_settings(SETTINGS, calibration) == []
    assert of_settings(Settings(), calibration) == []
    other = calibration.model_copy(update={"asked": {"classifier": "another"}})
    assert ["garment_class" in told for told in of_settings(SETTINGS, other)] == [True]


@pytest.mark.parametrize(
    ("classifier", "error", "told"),
    [
        ("embedded:nobody", SpecError, "classifier: 'embedded:nobody' is not an embedded model"),
        ("no/folder", PrerequisiteError, "classifier: the folder"),
        ("embedded:clip-apparel", PrerequisiteError, "lacks classifier.safetensors"),
    ],
)
def test_what_is_no_classifier_is_told_before_anything_is_scored(
    tmp_path: Path, classifier: str, error: type[Exception], told: str
) -> None:
    whole = json.loads(Path("qcgen/qc/profiles/apparel.json").read_text())
    (tmp_path / "own.json").write_text(json.dumps(whole | {"classifier": classifier, "calibration": None}))
    with pytest.raises(error, match=told):
        read_policy(str(tmp_path / "own.json"))
