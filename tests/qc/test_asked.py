"""What a profile asks of the CLIP: wordings, attributes, unwanted concepts; and that a raw cosine never judges."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.types import Outcome, Score, Severity, Unscored
from qcgen.models.embedded import load_encoder
from qcgen.qc.asking import asked_of
from qcgen.qc.calibrate import calibrate
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.policy import Policy, build_policy, load_policy, read_policy
from qcgen.qc.profile import Profile, read_profile
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.registry import find_detectors
from qcgen.qc.settings import Settings
from qcgen.qc.zeroshot import class_texts

WORDS = ("long", "short", "wool", "silk", "gun", "dress", "red")


class Words:
    """An encoder with an axis for each known word: a picture of brightness k shows word k, and counts its texts."""

    digest = "words"

    def __init__(self) -> None:
        self.asked = 0

    def encode_images(self, images: Tensor) -> Tensor:
        shown = torch.stack([image.unique()[0] for image in images]).long()
        return F.one_hot(shown, len(WORDS)).float()

    def encode_texts(self, texts: list[str]) -> Tensor:
        self.asked += len(texts)
        return torch.stack(
            [F.normalize(torch.tensor([float(w in text) + 1e-3 for w in WORDS]), dim=0) for text in texts]
        )


def _showing(*words: str) -> Tensor:
    return torch.stack([torch.full((3, 64, 64), WORDS.index(word), dtype=torch.uint8) for word in words])


def _score(name: str, batch: Batch) -> Scores:
    return find_detectors()[name].score(batch)


VOCABULARY = {"sleeve": ("long", "short"), "material": ("wool", "silk"), "hem": ("plain",)}
ATTRIBUTES = {"sleeve": "{} sleeves", "material": "{} cloth", "hem": "{} hem"}


def test_the_worst_attribute_counts_and_the_evidence_names_it() -> None:
    fields = [{"sleeve": "long", "material": "wool"}, {"sleeve": "long", "material": "silk"}, {"hem": "plain"}]
    batch = Batch(
        _showing("long", "wool", "long"),
        [""] * 3,
        fields,
        Words(),
        VOCABULARY,
        settings=Settings(attributes=ATTRIBUTES),
    )
    found = _score("attribute_margin", batch)
    # The first picture shows long sleeves and no cloth; the second wool, where silk was asked.
    assert found.values[0] == pytest.approx(0, abs=0.01)
    assert found.values[1] == pytest.approx(-1, abs=0.01)
    assert found.evidence[1] == {"field": "material", "asked": "silk", "nearest_other": "wool"}
    assert found.reasons == (None, None, "not_applicable")


def test_without_attributes_or_encoder_there_is_no_margin() -> None:
    fields = [{"sleeve": "long"}]
    bare = Batch(_showing("long"), [""], fields, Words(), VOCABULARY)
    assert _score("attribute_margin", bare).reasons == ("not_applicable",)
    blind = Batch(_showing("long"), [""], fields, None, VOCABULARY, settings=Settings(attributes=ATTRIBUTES))
    assert _score("attribute_margin", blind).reasons == ("no_encoder",)


def test_a_wrong_attribute_is_seen_by_the_embedded_clip() -> None:
    """Colours stand in for an attribute: they are what the embedded model knows besides products."""
    encoder = load_encoder("embedded:clip-apparel")
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8) + 255
    images[:, :, 12:52, 16:48] = torch.tensor([200, 20, 20], dtype=torch.uint8)[:, None, None]
    fields = [{"shade": "red"}, {"shade": "blue"}]
    batch = Batch(
        images,
        [""] * 2,
        fields,
        encoder,
        {"shade": ("red", "blue")},
        settings=Settings(attributes={"shade": "{} shirt"}),
    )
    red, blue = _score("attribute_margin", batch).values.tolist()
    assert red > 0 > blue


def test_templates_are_averaged_and_made_once() -> None:
    encoder = Words()
    both = class_texts(encoder, ("long", "short"), ("a {} red coat", "a {}"))
    apart = [class_texts(encoder, ("long", "short"), (one,)) for one in ("a {} red coat", "a {}")]
    torch.testing.assert_close(both, F.normalize(apart[0] + apart[1], dim=-1))
    asked = encoder.asked
    assert class_texts(encoder, ("long", "short"), ("a {} red coat", "a {}")) is both
    assert encoder.asked == asked


def test_a_profiles_templates_reach_the_detectors() -> None:
    fields = [{"product": "long"}]
    vocabulary = {"product": ("long", "short")}
    plain, odd = (
        Inspector(_policy(garment_margin={}, templates=templates), Words(), vocabulary).measure(
            _showing("long"), [""], fields
        )[0][0]
        for templates in (["{}"], ["{} red"])
    )
    assert isinstance(plain, Score)
    assert isinstance(odd, Score)
    assert plain.value > odd.value > 0


@pytest.mark.parametrize("template", ["a photo", "{} and {}", "{0}", "{} {x}"])
def test_a_template_without_one_place_is_refused(template: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(_body(blank={}, templates=[template])))
    with pytest.raises(SpecError, match="once and no other brace"):
        read_profile(path)


def test_an_unwanted_concept_wins_over_wanted_ones() -> None:
    settings = Settings(unwanted=("a gun", "silk"), wanted=("a dress",))
    found = _score("screening", Batch(_showing("gun", "dress"), [""] * 2, [{}] * 2, Words(), settings=settings))
    assert found.values[0] > 0.9
    assert found.values[1] < -0.9
    assert found.evidence[0] == {"unwanted": "a gun", "wanted": "a dress"}
    assert _score("screening", Batch(_showing("gun"), [""], [{}], Words())).reasons == ("not_applicable",)
    assert _score("screening", Batch(_showing("gun"), [""], [{}], None, settings=settings)).reasons == ("no_encoder",)


def test_a_ceiling_rejects_and_the_finding_carries_the_evidence() -> None:
    policy = _policy(
        screening={"importance": 0, "ceiling": 0.5, "required": True},
        **{"settings": {"screening": {"unwanted": ["a gun"], "wanted": ["a dress"]}}},
    )
    ((measure,),) = Inspector(policy, Words()).measure(_showing("gun"), [""], [{}])
    verdict = judge((measure,), policy)
    assert verdict.outcome is Outcome.REJECT
    assert verdict.reasons[0].severity is Severity.BLOCK
    assert verdict.reasons[0].evidence == {"unwanted": "a gun", "wanted": "a dress"}
    ((blind,),) = Inspector(policy, None).measure(_showing("gun"), [""], [{}])
    assert isinstance(blind, Unscored)
    assert judge((blind,), policy).outcome is Outcome.REVIEW


@pytest.mark.parametrize("rule", [{"importance": 1}, {"importance": 0, "ceiling": 0.1}])
def test_a_profile_that_judges_by_the_raw_cosine_is_refused(rule: dict[str, float], tmp_path: Path) -> None:
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(_body(blank={}, clip_similarity=rule)))
    with pytest.raises(
        SpecError, match=r"clip_similarity: is shown and never judges.*Cure: importance 0 and no ceiling"
    ):
        load_policy(str(path))
    path.write_text(json.dumps(_body(blank={}, clip_similarity={"importance": 0})))
    assert load_policy(str(path)).names() == ("blank", "clip_similarity")


def test_limits_of_other_wordings_are_stale() -> None:
    profile = Profile.model_validate(_body(garment_margin={}))
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(400, generator=generator).tolist()
    measures = [(Score("garment_margin", find_detectors()["garment_margin"].version, value),) for value in values]
    made = calibrate(measures, profile, source="drawn", asked=asked_of(build_policy(profile, None, sha256="").settings))
    assert build_policy(profile, made, sha256="").stale == ()
    other = Profile.model_validate(_body(garment_margin={}, templates=["a {} on white"]))
    with pytest.raises(PrerequisiteError, match="templates: not as the calibration had it"):
        build_policy(other, made, sha256="")


def test_missing_references_are_told_with_the_command(tmp_path: Path) -> None:
    path = tmp_path / "copy.json"
    path.write_text(json.dumps(_body(memorisation={"importance": 0}, references="training.npz")))
    with pytest.raises(PrerequisiteError, match="qcgen references"):
        read_policy(str(path))


def _body(**given: object) -> dict[str, object]:
    settings = given.pop("settings", {})
    keys = {name: given.pop(name) for name in ("templates", "references") if name in given}
    base = {"version": 1, "name": "test", "alpha": 0.05, "near_duplicate_bits": 24, "calibration": None}
    return {**base, **keys, **settings, "detectors": given}  # type: ignore[dict-item]


def _policy(**given: object) -> Policy:
    return build_policy(Profile.model_validate(_body(**given)), None, sha256="")
