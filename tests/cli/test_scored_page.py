"""The page of `qcgen score --out`: its numbers and words, on real pictures."""

import json
import re
from pathlib import Path

import PIL.Image
import pytest

from qcgen.cli.main import main
from tests.conftest import ROOT

PROFILE = {
    "version": 1,
    "name": "plain",
    "alpha": 0.05,
    "near_duplicate_bits": 24,
    "calibration": None,
    "detectors": {"blank": {"importance": 0, "ceiling": -0.602}},
}


@pytest.fixture
def page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Of a garment, its mirror image, a white picture and an empty file."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    garment = PIL.Image.open(ROOT / "qcgen" / "models" / "assets" / "apparel" / "sheet.webp").convert("RGB")
    garment = garment.crop((0, 0, 128, 128))
    garment.save(pictures / "a.png")
    garment.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(pictures / "b.png")
    PIL.Image.new("RGB", (128, 128), "white").save(pictures / "c.png")
    (pictures / "d.png").touch()
    (tmp_path / "plain.json").write_text(json.dumps(PROFILE))
    arguments = ("--profile", str(tmp_path / "plain.json"), "--out", str(tmp_path / "out"), "--json")
    assert main(["score", str(pictures), *arguments]) == 1
    capsys.readouterr()
    return (tmp_path / "out" / "index.html").read_text()


def test_axes_units_and_reasons_are_written_for_people(page: str) -> None:
    chart = page[page.index("of the pixels") - 3000 : page.index("luma, codes")]
    assert re.findall(r'text-anchor="end"[^>]*>100</text>|>100</text>', chart)
    assert not re.search(r"\de\+\d", page)
    assert re.search(r"[\d.]+ agreement, limit 0\.85", page)
    reasons = page[page.index('id="reasons"') : page.index('id="pictures"')]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>.*?</tr>", reasons, re.DOTALL)]
    told = {row[0]: " ".join(row[1:]) for row in rows}
    assert "not scored" in told["unreadable"]
    assert "rejects" in told["blank"]
    assert "flags" in told["near_duplicate"]
    # One file of each kind is counted as one.
    assert "1 file has no picture that can be judged." in page
