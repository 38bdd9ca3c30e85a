"""The text detector: what it says without its reader, and what it reads with it."""

import importlib.util

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from qcgen.core.types import Outcome, Unscored
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.policy import build_policy
from qcgen.qc.profile import Profile
from qcgen.qc.protocol import Batch
from qcgen.qc.registry import find_detectors

INSTALLED = importlib.util.find_spec("rapidocr_onnxruntime") is not None
WHOLE = {"version": 1, "name": "mine", "alpha": 0.05, "near_duplicate_bits": 0, "calibration": None}


def _pictures() -> torch.Tensor:
    plain = Image.new("RGB", (320, 160), (230, 230, 225))
    written = plain.copy()
    ImageDraw.Draw(written).text((60, 60), "SAMPLE 2026", fill=(20, 20, 20), font=ImageFont.load_default(36))
    return torch.stack(
        [torch.frombuffer(bytearray(one.tobytes()), dtype=torch.uint8).view(160, 320, 3) for one in (plain, written)]
    ).permute(0, 3, 1, 2)


@pytest.mark.skipif(INSTALLED, reason="rapidocr-onnxruntime is installed")
@pytest.mark.parametrize(("required", "outcome"), [(False, Outcome.ACCEPT), (True, Outcome.REVIEW)])
def test_without_its_reader_it_says_so_and_counts_only_where_it_is_required(required: bool, outcome: Outcome) -> None:
    profile = Profile.model_validate({**WHOLE, "detectors": {"text": {"importance": 0, "required": required}}})
    policy = build_policy(profile, None, sha256="")
    for measures in Inspector(policy, None).measure(_pictures(), ["", ""], [{}, {}]):
        assert measures == (Unscored("text", 1, "not_installed"),)
        assert judge(measures, policy).outcome is outcome


@pytest.mark.skipif(not INSTALLED, reason="NOT TESTED: the text detector needs the extra ocr (rapidocr-onnxruntime)")
def test_written_text_is_counted_and_its_place_told() -> None:
    found = find_detectors()["text"].score(Batch(_pictures(), ["", ""], [{}, {}]))
    assert found.values.tolist() == [0, 1]
    assert found.evidence[0] == {}
    assert "SAMPLE" in found.evidence[1]["text_1"]
    left, top, right, bottom = map(int, found.evidence[1]["box_1"].split())
    assert 40 <= left < 80
    assert 40 <= top < 80
    assert right > 200
    assert bottom < 130
