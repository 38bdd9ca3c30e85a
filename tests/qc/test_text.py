"""The text detector: what it says without its reader, and what it reads with it."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Outcome, Score, Unscored
from qcgen.models.textreader import open_reader
from qcgen.qc.corruption import corrupt
from qcgen.qc.inspect import Inspector
from qcgen.qc.judge import judge
from qcgen.qc.policy import build_policy
from qcgen.qc.profile import Profile
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.registry import find_corruptions, find_detectors
from qcgen.qc.separation import auroc

INSTALLED = importlib.util.find_spec("rapidocr_onnxruntime") is not None
WHOLE = {"version": 1, "name": "mine", "alpha": 0.05, "near_duplicate_bits": 0, "calibration": None}
_WITHOUT = """
import sys
sys.modules["rapidocr_onnxruntime"] = None  # Python's own way to say that a package cannot be imported
import torch
from qcgen.qc.protocol import Batch
from qcgen.qc.registry import find_detectors
print(find_detectors()["text"].score(Batch(torch.zeros(2, 3, 96, 96, dtype=torch.uint8), ["", ""], [{}, {}])).reasons)
"""

# The developer's lock has it up to Python 3.12.
needs_reader = pytest.mark.skipif(
    not INSTALLED and sys.version_info >= (3, 13),
    reason="NOT TESTED: rapidocr-onnxruntime has no wheel for this Python",
)


def _written(text: str, *, size: int = 36, turned: int = 0, side: int = 256) -> UInt8[Tensor, "3 h w"]:
    """Dark letters across the middle of a plain ground, turned against the clock."""
    canvas = Image.new("L", (2 * side, 2 * side), 0)
    ImageDraw.Draw(canvas).text((side, side), text, fill=255, font=ImageFont.load_default(size), anchor="mm")
    ink = canvas.rotate(turned, Image.Resampling.BICUBIC).crop((side // 2, side // 2, side * 3 // 2, side * 3 // 2))
    coverage = torch.frombuffer(bytearray(ink.tobytes()), dtype=torch.uint8).view(side, side).float() / 255
    return (228 - 200 * coverage).round().to(torch.uint8).expand(3, side, side).contiguous()


def _read(*images: UInt8[Tensor, "3 h w"], lettering: str = "") -> Scores:
    fields = [{"lettering": lettering}] * len(images)
    return find_detectors()["text"].score(Batch(torch.stack(images), [""] * len(images), fields))


def test_without_its_reader_it_says_so() -> None:
    found = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "('not_installed', 'not_installed')"


@pytest.mark.parametrize(("required", "outcome"), [(False, Outcome.ACCEPT), (True, Outcome.REVIEW)])
def test_a_picture_without_a_value_waits_for_a_person_only_where_text_is_required(
    required: bool, outcome: Outcome
) -> None:
    profile = Profile.model_validate({**WHOLE, "detectors": {"text": {"importance": 0, "required": required}}})
    policy = build_policy(profile, None, sha256="")
    # Too small for the reader, where there is one.
    (measures,) = Inspector(policy, None).measure(_written("")[None, :, :48, :48], [""], [{}])
    assert isinstance(measures[0], Unscored)
    assert measures[0].reason == ("too_small" if INSTALLED else "not_installed")
    assert judge(measures, policy).outcome is outcome


@needs_reader
def test_written_text_is_read_and_its_place_told() -> None:
    found = _read(_written(""), _written("SAMPLE 26"))
    assert found.values[0] == 0
    assert 0.9 < found.values[1] <= 1
    assert found.evidence[0] == {}
    assert found.evidence[1]["text_1"].replace(" ", "") == "SAMPLE26"
    left, top, right, bottom = map(int, found.evidence[1]["box_1"].split())
    assert 20 <= left < 60
    assert 90 <= top < 120
    assert 196 < right <= 236
    assert 136 < bottom <= 166


@needs_reader
@pytest.mark.parametrize("turned", [-90, -30, 30, 60, 90])
def test_a_turned_line_is_read_as_an_upright_one(turned: int) -> None:
    found = _read(_written("PREVIEW", turned=turned))
    assert found.evidence[0]["text_1"] == "PREVIEW"


@needs_reader
@pytest.mark.parametrize("side", [128, 256, 640])
def test_letters_of_a_twentieth_of_the_height_are_read_at_any_size(side: int) -> None:
    assert _read(_written("COPYRIGHT", size=round(0.07 * side), side=side)).values[0] > 0.8


@needs_reader
def test_several_threads_read_what_one_reads() -> None:
    images = [_written(word) for word in ("ALPHA", "", "BRAVO", "CHARLIE")] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: _read(image), images))
    alone = [_read(image) for image in images]
    assert [one.evidence for one in found] == [one.evidence for one in alone]
    assert all(torch.equal(one.values, other.values) for one, other in zip(found, alone, strict=True))


@needs_reader
def test_a_single_letter_is_no_word() -> None:
    assert 0.1 < _read(_written("R", size=60)).values[0] <= 0.25


@needs_reader
def test_where_letters_were_asked_for_only_wrong_ones_count() -> None:
    image = _written("Hello You", size=40)
    assert _read(image).values[0] > 0.9
    assert _read(image, lettering="HELLO YOU").values[0] == 0
    assert _read(image, lettering="Hallo du").values[0] == pytest.approx(3 / 7)
    assert _read(_written(""), lettering="Hello you").values[0] == 1


@needs_reader
def test_another_line_beside_the_one_that_was_asked_for_still_counts() -> None:
    both = torch.cat([_written("Hello You")[:, 64:192], _written("SAMPLE")[:, 64:192]], dim=1)
    found = _read(both, lettering="hello you")
    assert found.values[0] > 0.9
    assert {found.evidence[0]["text_1"], found.evidence[0]["text_2"]} == {"Hello You", "SAMPLE"}


@needs_reader
@pytest.mark.parametrize("content", [b"", b"no network", None])
def test_a_damaged_or_missing_network_is_told_with_its_cure(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ch_PP-OCRv4_det_infer.onnx").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"ch_PP-OCRv4_det_infer\.onnx: no network .* Cure: pip install"):
        open_reader(tmp_path)


@needs_reader
@pytest.mark.parametrize(("other", "got"), [("no letters", 0), ("a letter less", 6622)])
def test_another_network_that_loads_is_told_with_its_cure(other: str, got: int, tmp_path: Path) -> None:
    finder, recogniser = (f"ch_PP-OCRv4_{kind}_infer.onnx" for kind in ("det", "rec"))
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    assert package is not None
    assert package.submodule_search_locations
    models = Path(package.submodule_search_locations[0]) / "models"
    found = (models / finder).read_bytes()
    (tmp_path / finder).write_bytes(found)
    # The list of letters lies in the file as it is; two that are joined are one.
    read = (models / recogniser).read_bytes().replace("疗\n绚".encode(), "疗x绚".encode())
    (tmp_path / recogniser).write_bytes(found if other == "no letters" else read)
    with pytest.raises(IntegrityError, match=rf"rec_infer\.onnx: must list .* \(got {got} letters for .* Cure: pip"):
        open_reader(tmp_path)


@needs_reader
def test_a_word_beyond_the_ceiling_rejects_with_what_was_read() -> None:
    profile = Profile.model_validate({**WHOLE, "detectors": {"text": {"importance": 0, "ceiling": 0.7}}})
    policy = build_policy(profile, None, sha256="")
    images = torch.stack([_written(""), _written("SAMPLE")])
    clean, marked = Inspector(policy, None).measure(images, ["", ""], [{}, {}])
    assert judge(clean, policy).outcome is Outcome.ACCEPT
    verdict = judge(marked, policy)
    assert verdict.outcome is Outcome.REJECT
    assert verdict.reasons[0].kind == "text"
    assert isinstance(marked[0], Score)
    assert marked[0].evidence["text_1"] == "SAMPLE"


@needs_reader
def test_letters_over_real_photos_stand_out_and_more_so_the_larger_they_are(shared_data: Path) -> None:
    paths = sorted((shared_data / "qc-aigc" / "images").glob("*.*"))[::15][:12]
    if not paths:
        pytest.skip(f"no pictures at {shared_data / 'qc-aigc'}")
    photos = [_square(path) for path in paths]
    clean = _read(*photos).values.numpy()
    overlay = find_corruptions()["text_overlay"]
    order = []
    for severity in (1, 3, 5):
        written = [corrupt(overlay, one, key=str(i), severity=severity).image for i, one in enumerate(photos)]
        order.append(auroc(clean, _read(*written).values.numpy()))
    assert order[1] > 0.85
    assert order[0] < order[2]


def _square(path: Path) -> UInt8[Tensor, "3 h w"]:
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((192, 192), Image.Resampling.LANCZOS)
        return torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(192, 192, 3).permute(2, 0, 1)
