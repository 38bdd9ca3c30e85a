"""The inspector runs what the policy names, once per picture, whatever the batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from qcgen.core.errors import PrerequisiteError
from qcgen.core.types import Score, Unscored
from qcgen.qc.embeddings import write_embeddings
from qcgen.qc.inspect import Inspector
from qcgen.qc.policy import build_policy
from qcgen.qc.profile import Calibration, DetectorRule, Profile

_PROFILE = Profile.model_validate(
    {
        "version": 1,
        "name": "test",
        "alpha": 0.05,
        "near_duplicate_bits": 24,
        "calibration": None,
        "detectors": {"blank": {}, "clip_similarity": {}, "garment_rank": {}},
    }
)


class _Counting:
    """An encoder of two dimensions that counts the texts it is given."""

    digest = "counting"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.float().mean((1, 2, 3)) / 255
        return torch.nn.functional.normalize(torch.stack([bright, 1 - bright], dim=1), dim=1)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        self.texts += texts
        bright = torch.tensor([float("white" in text) for text in texts])
        return torch.stack([bright, 1 - bright], dim=1)


def _images() -> torch.Tensor:
    return torch.tensor([250, 5], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 64, 64).contiguous()


def test_measures_come_in_the_policys_order_for_each_picture() -> None:
    inspector = Inspector(build_policy(_PROFILE, None, sha256=""), _Counting(), {"product": ("white hat", "black hat")})
    fields = [{"product": "white hat"}, {"product": "white hat"}]
    measures = inspector.measure(_images(), ["white hat", "white hat"], fields)
    assert [[one.detector for one in row] for row in measures] == [["blank", "clip_similarity", "garment_rank"]] * 2
    ranks = [row[2] for row in measures]
    assert [rank.value for rank in ranks if isinstance(rank, Score)] == [1, 2]


def test_each_text_is_encoded_once() -> None:
    encoder = _Counting()
    inspector = Inspector(build_policy(_PROFILE, None, sha256=""), encoder, {"product": ("white hat", "black hat")})
    for _ in range(3):
        inspector.measure(_images(), ["white hat", "a hat"], [{"product": "white hat"}] * 2)
    assert len(encoder.texts) == len(set(encoder.texts))


def test_without_an_encoder_clip_scores_are_missing_and_not_zero() -> None:
    inspector = Inspector(build_policy(_PROFILE, None, sha256=""), None, {})
    (row, _) = inspector.measure(_images(), ["", ""], [{}, {}])
    assert row[1:] == (Unscored("clip_similarity", 2, "no_encoder"), Unscored("garment_rank", 1, "no_encoder"))


def test_the_profiles_ground_reaches_the_detector() -> None:
    profile = _PROFILE.model_copy(update={"detectors": {"background": DetectorRule()}, "background": (5, 5, 5)})
    rows = Inspector(build_policy(profile, None, sha256=""), None).measure(_images(), ["", ""], [{}, {}])
    (light,), (dark,) = rows
    assert isinstance(light, Score)
    assert isinstance(dark, Score)
    assert light.value > 50
    assert dark.value == pytest.approx(0, abs=1e-3)


def test_an_encoder_other_than_the_calibrated_one_is_refused(tmp_path: Path) -> None:
    calibration = Calibration(
        version=1,
        profile="test",
        created="2026-11-23",
        source="none",
        n=0,
        alpha=0.05,
        split_seed=0,
        encoder_digest="another",
        model_digest=None,
        libraries={},
        uncalibrated={},
        detectors={},
        joint=(),
    )
    with pytest.raises(PrerequisiteError, match="qcgen calibrate"):
        Inspector(build_policy(_PROFILE, calibration, sha256=""), _Counting(), {})


def test_a_profile_says_where_the_decoders_tiles_meet() -> None:
    images = torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    images[:, :, :, 32:] = 106
    for tile_px, wanted in ((32, 6.0), (16, 6.0), (24, 0.0)):
        profile = _PROFILE.model_copy(update={"detectors": {"tile_seam": DetectorRule()}, "tile_px": tile_px})
        inspector = Inspector(build_policy(profile, None, sha256=""), None)
        (((score),),) = inspector.measure(images, [""], [{}])
        assert isinstance(score, Score)
        assert score.value == pytest.approx(wanted, abs=0.01)
    (((unscored),),) = Inspector(
        build_policy(_PROFILE.model_copy(update={"detectors": {"tile_seam": DetectorRule()}}), None, sha256=""), None
    ).measure(images, [""], [{}])
    assert isinstance(unscored, Unscored)


def test_anomaly_is_the_distance_to_the_calibrations_own_pictures(tmp_path: Path) -> None:
    encoder, path = _Counting(), tmp_path / "shop.embeddings.npz"
    white = encoder.encode_images(_images()[:1].expand(5, -1, -1, -1)).half().numpy()
    write_embeddings(path, encoder=encoder.digest, ids=list("abcde"), prompts=[""] * 5, vectors=white)
    profile = _PROFILE.model_copy(update={"detectors": {"anomaly": DetectorRule()}})
    policy = replace(build_policy(profile, None, sha256=""), embeddings=path)
    measures = Inspector(policy, encoder).measure(_images(), ["", ""], [{}, {}])
    near, far = (row[0].value for row in measures if isinstance(row[0], Score))
    assert near == pytest.approx(0, abs=1e-3)
    assert far > 0.9
