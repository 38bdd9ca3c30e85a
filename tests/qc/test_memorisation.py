"""Copies of reference pictures are found, mirrored ones too, by `qcgen references` and a profile's key."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
import torch

from qcgen.cli.main import main
from qcgen.core.errors import IntegrityError
from qcgen.models.find import ASSETS
from qcgen.qc.phash import phash
from qcgen.qc.references import nearest, pack, read_references, write_references
from tests.data.hostile import encoded, photo

LIMIT = 40


def crops(count: int) -> list[PIL.Image.Image]:
    """Cells of what the embedded student makes: garments on white, the hard case for hashes."""
    sheet = PIL.Image.open(ASSETS / "apparel" / "sheet.webp").convert("RGB")
    places = [(x, y) for y in range(0, sheet.height - 127, 128) for x in range(0, sheet.width - 127, 128)]
    return [sheet.crop((x, y, x + 128, y + 128)) for x, y in places[:count]]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bought").mkdir()
    for i, picture in enumerate(crops(40)):
        picture.save(tmp_path / "bought" / f"{i:02d}.png")
    (tmp_path / "bought" / "note.png").write_text("no picture")
    rule = {"importance": 0, "ceiling": LIMIT, "required": True}
    profile = {"version": 1, "name": "rights", "alpha": 0.05, "near_duplicate_bits": 0, "calibration": None}
    body = {**profile, "references": "bought.npz", "detectors": {"memorisation": rule}}
    (tmp_path / "rights.json").write_text(json.dumps(body))
    return tmp_path


def test_altered_and_mirrored_copies_are_rejected_with_their_source(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["references", "bought", "--to", "bought.npz", "--clip", "embedded:clip-apparel", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["pictures"], told["left_out"]) == (40, 1)
    made = workplace / "made"
    made.mkdir()
    known = crops(60)
    known[3].resize((200, 200)).save(made / "larger.png")
    known[4].transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT).save(made / "mirrored.png")
    PIL.ImageEnhance.Brightness(known[5]).enhance(0.85).save(made / "darker.png")
    (made / "squeezed.jpg").write_bytes(encoded(known[6], "JPEG", quality=30))
    for i in range(45, 55):
        known[i].save(made / f"own_{i}.png")
    assert main(["score", "made", "--profile", "rights.json", "--json"]) == 1
    rows = {Path(one["file"]).name: one for one in json.loads(capsys.readouterr().out)["pictures"]}
    rejected = {name: one["reasons"][0] for name, one in rows.items() if one["verdict"] == "reject"}
    assert {name: reason["evidence"]["neighbour"] for name, reason in rejected.items()} == {
        "larger.png": "03.png",
        "mirrored.png": "04.png",
        "darker.png": "05.png",
        "squeezed.jpg": "06.png",
    }
    assert rejected["mirrored.png"]["evidence"]["mirrored"] == "yes"
    assert rejected["larger.png"]["kind"] == "memorisation"


def test_embeddings_name_the_nearest_in_the_clips_space(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["references", "bought", "--to", "bought.npz", "--clip", "embedded:clip-apparel"])
    (workplace / "made").mkdir()
    crops(9)[8].save(workplace / "made" / "copy.png")
    capsys.readouterr()
    main(["score", "made", "--profile", "rights.json", "--json"])
    (one,) = json.loads(capsys.readouterr().out)["pictures"]
    (measure,) = [each for each in one["measures"] if each["detector"] == "memorisation"]
    assert measure["value"] == 0
    assert (measure["evidence"]["neighbour"], measure["evidence"]["nearest_by_clip"]) == ("08.png", "08.png")
    # float16 vectors.
    assert float(measure["evidence"]["cosine"]) == pytest.approx(1, abs=2e-3)


def test_the_nearest_is_that_of_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    hashes, references = (rng.integers(0, 2**63, (count, 4)).astype(np.uint64) for count in (130, 300))
    bits, places = nearest(hashes, references)
    plain = np.array([[np.bitwise_count(a ^ b).sum() for b in references] for a in hashes])
    assert np.array_equal(bits, plain.min(1))
    assert np.array_equal(places, plain.argmin(1))


def test_a_file_that_is_no_whole_file_of_references_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    hashes = pack(phash(torch.from_numpy(np.array(photo())).permute(2, 0, 1)[None]))
    write_references(path, ids=["a"], hashes=hashes, encoder=None, vectors=None)
    assert read_references(path).ids == ("a",)
    whole = path.read_bytes()
    for torn in (whole[: len(whole) // 2], b"", b"PK\3\4"):
        path.write_bytes(torn)
        with pytest.raises(IntegrityError, match="no whole file of references"):
            read_references(path)
    np.savez(path, version=1, ids=np.array(["a", "b"]), hashes=hashes)
    with pytest.raises(IntegrityError, match="2 ids"):
        read_references(path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--to", "a.npz"], "does not exist"),
        (["empty", "--to", "a.npz"], "holds no picture"),
        (["empty", "--to", "a.zip"], "must end in .npz"),
    ],
)
def test_mistakes_end_with_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["references", *arguments]) == 2
    assert told in capsys.readouterr().err
