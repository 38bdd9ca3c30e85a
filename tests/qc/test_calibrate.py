"""From measures to a calibration, to a file, to a policy; and what is refused on the way."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError, create_model

from qcgen.core.errors import IntegrityError, PrerequisiteError, SpecError
from qcgen.core.types import Measure, Outcome, Score, Unscored
from qcgen.qc.calibrate import calibrate, describe
from qcgen.qc.judge import judge
from qcgen.qc.policy import load_policy
from qcgen.qc.profile import (
    Calibration,
    Kept,
    Profile,
    _content_sha256,
    find_profile,
    keep_embeddings,
    naming,
    read_calibration,
    read_profile,
    write_calibration,
)
from qcgen.qc.registry import find_detectors

_PROFILE = Profile.model_validate(
    {
        "version": 1,
        "name": "test",
        "alpha": 0.05,
        "near_duplicate_bits": 24,
        "calibration": "test-calibration.json",
        "detectors": {
            "blur": {"ceiling": 0.9},
            "garment_margin": {},
            "colour_match": {},
            "clip_similarity": {"importance": 0},
        },
    }
)


def _measures(n: int, seed: int = 0) -> list[tuple[Measure, ...]]:
    rng = np.random.default_rng(seed)
    blur, margin = rng.uniform(0.1, 0.4, n), rng.normal(0.3, 0.05, n)
    version = {name: detector.version for name, detector in find_detectors().items()}
    return [
        (
            Score("blur", version["blur"], float(blur[i])),
            Score("garment_margin", version["garment_margin"], float(margin[i])),
            Unscored("colour_match", version["colour_match"], "not_applicable"),
            Score("clip_similarity", version["clip_similarity"], 0.2),
        )
        for i in range(n)
    ]


def _written(folder: Path, profile: Profile = _PROFILE, n: int = 600) -> Path:
    calibration = calibrate(_measures(n), profile, source="uniform numbers", encoder_digest="e")
    write_calibration(calibration, folder / "test-calibration.json")
    path = folder / "test.json"
    path.write_text(profile.model_dump_json(), encoding="utf-8")
    return path


def test_a_calibration_becomes_a_policy_that_flags_the_unusual(tmp_path: Path) -> None:
    policy = load_policy(str(_written(tmp_path)))
    rules = {rule.detector: rule for rule in policy.rules}
    assert rules["blur"].limit == pytest.approx(0.4, abs=0.02)
    assert rules["garment_margin"].limit == pytest.approx(0.3 - 2 * 0.05, abs=0.04)
    assert rules["colour_match"].reference is None
    assert rules["clip_similarity"].reference is None
    soft, usual, wrong = (
        [Score("blur", rules["blur"].version, blur), Score("garment_margin", rules["garment_margin"].version, margin)]
        for blur, margin in ((0.45, 0.3), (0.25, 0.3), (0.25, -0.1))
    )
    assert [reason.kind for reason in judge(soft, policy).reasons] == ["blur"]
    assert judge(usual, policy).outcome is Outcome.ACCEPT
    assert [reason.kind for reason in judge(wrong, policy).reasons] == ["garment_margin"]


def test_clean_measures_are_flagged_about_as_often_as_alpha(tmp_path: Path) -> None:
    policy = load_policy(str(_written(tmp_path)))
    fresh = _measures(1000, seed=9)
    share = sum(judge(measures, policy).outcome is not Outcome.ACCEPT for measures in fresh) / len(fresh)
    # One calibration of 300 draws its rate from a Beta with 95 % below 7.20% %; 1,000 fresh pictures add 0.7 %.
    assert 0.015 < share < 0.09


def test_the_hash_covers_profile_and_calibration(tmp_path: Path) -> None:
    path = _written(tmp_path)
    before = load_policy(str(path)).sha256
    assert load_policy(str(path)).sha256 == before
    _written(tmp_path, n=598)
    calibrated_anew = load_policy(str(path)).sha256
    path.write_text(path.read_text(encoding="utf-8").replace("0.9", "0.8"), encoding="utf-8")
    assert len({before, calibrated_anew, load_policy(str(path)).sha256}) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file["detectors"]["blur"].update(version=99), "calibrated with version 99"),
        (lambda file: file["detectors"]["blur"].update(importance=3.0), "importance 1.0, calibrated with 3.0"),
        (lambda file: file.update(alpha=0.01), "alpha"),
    ],
)
def test_a_stale_calibration_is_refused_with_the_cure(tmp_path: Path, change: object, words: str) -> None:
    path = _written(tmp_path)
    file = json.loads((tmp_path / "test-calibration.json").read_text(encoding="utf-8"))
    change(file)  # type: ignore[operator]
    write_calibration(Calibration.model_validate(file), tmp_path / "test-calibration.json")
    with pytest.raises(PrerequisiteError, match=words) as raised:
        load_policy(str(path))
    assert "qcgen calibrate" in str(raised.value)


def test_a_calibration_of_which_a_digit_changed_is_refused_and_one_of_before_is_read(tmp_path: Path) -> None:
    path, calibration = _written(tmp_path), tmp_path / "test-calibration.json"
    text = calibration.read_text(encoding="utf-8")
    file = json.loads(text)
    first = repr(file["detectors"]["blur"]["scores"][0])
    calibration.write_text(text.replace(first, first[:-1] + str((int(first[-1]) + 1) % 10), 1), encoding="utf-8")
    with pytest.raises(
        IntegrityError, match=r"is not as qcgen calibrate wrote it .* Cure: take the file from a backup"
    ):
        load_policy(str(path), allow_stale=True)
    # Another layout of the same content is the same calibration; what carries no digest is of before there was one.
    calibration.write_text(json.dumps(file, sort_keys=True), encoding="utf-8")
    assert load_policy(str(path)).stale == ()
    # A field that a later version adds is not in the file, so the digest is of what is not default.
    later = create_model("Later", __base__=Calibration, added=(str | None, None))
    assert read_calibration(calibration).content_sha256 == _content_sha256(later.model_validate(file))
    del file["content_sha256"]
    calibration.write_text(json.dumps(file), encoding="utf-8")
    assert load_policy(str(path)).stale == ()


def test_a_missing_calibration_and_an_unknown_profile_say_the_cure(tmp_path: Path) -> None:
    path = _written(tmp_path)
    (tmp_path / "test-calibration.json").unlink()
    with pytest.raises(PrerequisiteError, match="qcgen calibrate"):
        load_policy(str(path))
    with pytest.raises(SpecError, match="apparel"):
        load_policy("no-such-profile")


def test_all_mistakes_of_a_profile_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"version": 1, "name": "x", "alpha": 2, "near_duplicate_bits": 24, "calibration": null, "x": 1}')
    with pytest.raises(SpecError) as raised:
        load_policy(str(path))
    assert len(raised.value.problems) == 3
    path.write_text(_PROFILE.model_copy(update={"calibration": None}).model_dump_json().replace("blur", "blurr"))
    with pytest.raises(SpecError, match="blurr: no such detector"):
        load_policy(str(path))


def test_too_few_pictures_are_refused_with_the_number_that_is_enough() -> None:
    with pytest.raises(SpecError, match=r"at least 38 accepted pictures \(got 37\)"):
        calibrate(_measures(37), _PROFILE, source="too few")
    with pytest.raises(SpecError, match="never flag"):
        calibrate(_measures(38), _PROFILE, source="just enough for one detector")


def test_the_description_prints_the_bound_and_what_was_left_out() -> None:
    text = describe(calibrate(_measures(600), _PROFILE, source="uniform numbers"))
    assert "below 7.20%" in text
    assert "colour_match: not calibrated, 0 scores" in text


def test_the_same_measures_give_the_same_calibration() -> None:
    first, second = (calibrate(_measures(200), _PROFILE, source="s", seed=4) for _ in range(2))
    assert first.model_copy(update={"created": ""}) == second.model_copy(update={"created": ""})


def test_the_built_in_profile_loads_and_names_known_detectors() -> None:
    policy = load_policy("apparel")
    assert set(policy.names()) <= set(find_detectors())
    assert read_profile(find_profile("apparel")).alpha == policy.alpha


def test_two_calibrations_of_the_same_pictures_keep_their_embeddings_once(tmp_path: Path) -> None:
    mine, same, other = (tmp_path / f"{name}.embeddings.npz" for name in ("mine", "same", "other"))
    other.write_bytes(b"of other pictures")
    mine.write_bytes(b"of these pictures")
    assert keep_embeddings(mine).file == mine.name
    # A calibration beside it that was changed is nobody's: it is calibrated anew over it.
    broken = tmp_path / "broken.json"
    write_calibration(calibrate(_measures(600), _PROFILE, source="test"), broken)
    broken.write_text(broken.read_text().replace('"n": 600', '"n": 601'))
    assert naming(mine) == []
    broken.unlink()
    same.write_bytes(mine.read_bytes())
    assert keep_embeddings(same) == keep_embeddings(mine)
    assert sorted(tmp_path.iterdir()) == [mine, other]


def test_embeddings_that_are_no_longer_those_of_the_calibration_are_left_out_and_told(tmp_path: Path) -> None:
    profile, calibration = _written(tmp_path), tmp_path / "test-calibration.json"
    kept = tmp_path / "shared.embeddings.npz"
    kept.write_bytes(b"of these pictures")
    made = read_calibration(calibration).model_copy(update={"embeddings": keep_embeddings(kept)})
    write_calibration(made, calibration)
    policy = load_policy(str(profile))
    assert policy.embeddings == kept
    assert not any(kept.name in told for told in policy.warnings)
    kept.write_bytes(b"of those pictures")
    policy = load_policy(str(profile))
    assert policy.embeddings is None
    assert any(kept.name in told for told in policy.warnings)


@pytest.mark.parametrize(
    "file", ["../outside.npz", "/outside.npz", "a\\b.npz", "", "a\0b", ".", "..", "a\x1b[2J", "a" * 300]
)
def test_a_calibration_names_embeddings_in_its_own_folder_alone(file: str) -> None:
    with pytest.raises(ValidationError):
        Kept(file=file, sha256="0")


def test_no_file_of_embeddings_is_packed_twice() -> None:
    folder = Path(str(files("qcgen.qc"))) / "calibrations"
    packed = sorted(folder.glob("*.npz"))
    assert len({path.read_bytes() for path in packed}) == len(packed)
    both = [load_policy(name).embeddings.resolve() for name in ("apparel", "apparel-careful")]
    assert both == [(folder / "apparel.embeddings.npz").resolve()] * 2
