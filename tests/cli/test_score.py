"""`qcgen score` on files that nobody vouches for: each is scored or has a row with its reason."""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from qcgen.cli.main import main
from qcgen.core.wording import file_name
from qcgen.data.decoder import Decoded, Decoder, Refused
from qcgen.data.pictures import find_files
from tests.data.hostile import bombs, encoded, photo

PROFILE = {
    "version": 1,
    "name": "plain",
    "alpha": 0.05,
    "near_duplicate_bits": 24,
    "calibration": None,
    "background": [0, 0, 255],
    "detectors": {"blank": {"importance": 0, "ceiling": -0.602}, "garment_margin": {"importance": 0}},
}


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "plain.json"
    path.write_text(json.dumps(PROFILE))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return path


def _score(
    capsys: pytest.CaptureFixture[str], folder: Path, profile: str, *more: str
) -> tuple[int, dict[str, dict[str, object]]]:
    code = main(["score", str(folder), "--profile", profile, "--json", *more])
    told = json.loads(capsys.readouterr().out)
    return code, {one["file"]: one for one in told["pictures"]}


def _codes(one: dict[str, object]) -> list[str]:
    return [reason["evidence"].get("reason", reason["kind"]) for reason in one["reasons"]]  # type: ignore[attr-defined]


def test_hostile_names_are_scored_and_shown_escaped(
    folder: Path, profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        b"line\nbreak.png",
        b"\xff\xfe.png",
        b"\x1b[2J.png",
        b"=cmd().png",
        b"a" * 251 + b".png",
        "Ünïcode 中.PNG".encode(),
    ]
    for seed, name in enumerate(names):
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(encoded(photo(seed=seed), "PNG"))
    code, rows = _score(capsys, folder, profile, "--out", str(tmp_path / "out"))
    assert code == 0
    assert set(rows) == {file_name(Path(os.fsdecode(os.fsencode(folder) + b"/" + name))) for name in names}
    assert all("\n" not in name and "\x1b" not in name for name in rows)
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        assert {row["file"] for row in csv.DictReader(file)} == set(rows)
    main(["score", str(folder), "--profile", profile])
    assert "\x1b" not in capsys.readouterr().out


def test_a_rejected_file_shows_why_and_a_second_report_keeps_nothing_of_the_first(
    folder: Path, profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey = PIL.Image.new("RGB", (64, 64), (128, 128, 128))
    (folder / "<b>flat.png").write_bytes(encoded(grey, "PNG"))
    (folder / "photo.png").write_bytes(encoded(photo(), "PNG"))
    (folder / "torn.png").write_bytes(encoded(photo(), "PNG")[:200])
    out = tmp_path / "out"
    code, _ = _score(capsys, folder, profile, "--out", str(out))
    assert code == 1
    page = (out / "index.html").read_text()
    assert "<b>" not in page
    assert "4 -log10 code², limit -0.602" in page
    assert "luma, codes" in page
    assert "torn.png" in page
    kept = {path.name.partition("-")[2] or path.suffix for path in (out / "evidence").iterdir()}
    assert kept == {".json", "picture.png"}
    (folder / "<b>flat.png").unlink()
    _score(capsys, folder, profile, "--out", str(out))
    assert list((out / "evidence").iterdir()) == []


def test_what_cannot_be_read_has_a_row_and_the_rest_is_scored(
    folder: Path, profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "good.png").write_bytes(encoded(photo(), "PNG"))
    (folder / "note.png").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "scan.tiff").write_bytes(encoded(photo(), "TIFF"))
    (folder / "notes.txt").write_text("not asked")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "round.png").symlink_to(folder / "round.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "inner").mkdir()
    os.mkfifo(folder / "inner" / "pipe.png")
    code, rows = _score(capsys, folder, profile, "--out", str(tmp_path / "out"))
    found = {Path(name).name: _codes(one) for name, one in rows.items()}
    assert code == 1
    assert found == {
        "good.png": [],
        "note.png": ["no_picture"],
        "empty.png": ["empty"],
        "scan.tiff": ["no_picture"],
        "loop": ["link"],
        "round.png": ["unreadable"],
        "gone.png": ["unreadable"],
        "pipe.png": ["no_file"],
    }
    page = (tmp_path / "out" / "index.html").read_text()
    assert "note.png" in page
    assert "it is text, not a PNG, JPEG, WebP or AVIF" in page
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        table = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert table["empty.png"]["verdict"] == "failed"
    assert table["empty.png"]["reasons"] == "unreadable: it is empty."
    assert table["good.png"]["unscored"] == "garment_margin: no_encoder"
    assert float(table["good.png"]["m_blank"]) < 0


@contextmanager
def _closed() -> Iterator[Path]:
    """A folder with a file and a folder that this user may not read; where tests run as root, as somebody else."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "inner").mkdir()
        for path in ("good.png", "shut.png", "inner/hidden.png"):
            (folder / path).write_bytes(encoded(photo(seed=len(path)), "PNG"))
        folder.chmod(0o755)
        (folder / "shut.png").chmod(0)
        (folder / "inner").chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            (folder / "inner").chmod(0o755)


def test_files_and_folders_without_permission_have_rows() -> None:
    with Decoder() as decoder:
        list(decoder.decode([encoded(photo(), "PNG")]))  # starts the process, which somebody else may not
        with _closed() as folder:
            found = find_files([folder])
            good, shut = decoder.read(found.pictures)
    assert [path.name for path, _ in found.refused] == ["inner"]
    assert found.refused[0][1].reason == "it cannot be listed (Permission denied)"
    assert isinstance(good, Decoded)
    assert isinstance(shut, Refused)
    assert (shut.code, shut.reason) == ("unreadable", "it cannot be read (Permission denied)")


def test_alpha_is_laid_on_the_profiles_ground_and_noted(
    folder: Path, profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = photo().convert("RGBA")
    whole.putalpha(PIL.Image.linear_gradient("L").resize((64, 64)))
    (folder / "soft.png").write_bytes(encoded(whole, "PNG"))
    code, rows = _score(capsys, folder, profile)
    assert code == 0
    (one,) = rows.values()
    assert [(reason["severity"], reason["message"]) for reason in one["reasons"]] == [  # type: ignore[attr-defined]
        ("info", "composited: laid on 0, 0, 255 where it is transparent.")
    ]


def test_dots_and_strips_are_judged(folder: Path, profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ((1, 1), (3, 20_000), (20_000, 3)):
        (folder / f"{size[0]}.png").write_bytes(encoded(PIL.Image.new("RGB", size, (9, 9, 9)), "PNG"))
    code, rows = _score(capsys, folder, profile)
    assert code == 1
    assert {one["verdict"] for one in rows.values()} <= {"accept", "reject"}


def test_what_is_too_small_to_be_looked_at_is_not_accepted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Noise in a strip of three rows: of the photos profile's checks only that for blank pictures has a value."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 2_000, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(folder / "strip.png")
    _, rows = _score(capsys, folder, "photos")
    (one,) = rows.values()
    assert (one["verdict"], _codes(one)) == ("review", ["too_small"])


def test_a_profile_that_requires_a_prompt_says_so_where_none_is_given(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(128).save(folder / "a.png")
    main(["score", str(folder), "--profile", "apparel"])
    told = capsys.readouterr()
    assert "0 accept" in told.out
    for words in ("requires clip_similarity", "1 of 1 file cannot be accepted", "--prompts CSV"):
        assert words in told.err
    table = tmp_path / "asked.csv"
    table.write_text("file,prompt,product,colour\na.png,a photo of a red coat,coat,red\n")
    main(["score", str(folder), "--profile", "apparel", "--prompts", str(table)])
    assert "cannot be accepted" not in capsys.readouterr().err


def test_a_quick_look_judges_small_pictures_and_tells_copies_by_their_bytes(
    folder: Path, profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = PIL.Image.fromarray(
        np.asarray(photo(256)) ^ (np.indices((256, 256)).sum(0) % 2 * 2).astype(np.uint8)[..., None]
    )
    turned = PIL.Image.fromarray(np.asarray(fine)[:, :, :] ^ np.uint8(2))
    for name, picture in (("a.png", fine), ("b.png", fine), ("c.png", turned), ("d.png", photo(64, seed=9))):
        (folder / name).write_bytes(encoded(picture, "PNG"))
    code, rows = _score(capsys, folder, profile, "--screen", "100", "--out", str(tmp_path / "out"))
    assert code == 1
    kinds = {name: sorted(reason["kind"] for reason in one["reasons"]) for name, one in rows.items()}  # type: ignore[attr-defined]
    at = {Path(name).name: found for name, found in kinds.items()}
    assert at["a.png"] == ["scaled"]
    assert at["b.png"] == ["exact_duplicate", "scaled"]
    assert at["c.png"] == ["near_duplicate", "scaled"]
    assert at["d.png"] == []
    scores = [one["measures"][0]["value"] for one in rows.values()]  # type: ignore[index]
    whole = [one["measures"][0]["value"] for one in _score(capsys, folder, profile)[1].values()]  # type: ignore[index]
    assert [a == b for a, b in zip(scores, whole, strict=True)] == [False, False, False, True]


def test_the_limit_of_pixels_can_be_set(folder: Path, profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "large.png").write_bytes(encoded(photo(256), "PNG"))
    (folder / "small.png").write_bytes(encoded(photo(64), "PNG"))
    _, rows = _score(capsys, folder, profile, "--max-megapixels", "0.05")
    found = {Path(name).name: _codes(one) for name, one in rows.items()}
    assert found == {"large.png": ["too_many_pixels"], "small.png": []}


_MEASURED = """
import sys
from pathlib import Path
from qcgen.cli.main import main
code = main(sys.argv[1:])
# Not ru_maxrss: it begins with what the parent had when it forked.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) // 1024, file=sys.stderr)
"""


def test_thirty_bombs_neither_end_the_run_nor_fill_the_memory(folder: Path, profile: str) -> None:
    for name, content in bombs():
        (folder / name).write_bytes(content)
    for seed in range(3):
        (folder / f"good_{seed}.png").write_bytes(encoded(photo(seed=seed), "PNG"))
    command = [sys.executable, "-c", _MEASURED, "score", str(folder), "--profile", profile, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(done.stdout)
    code, peak_mib = map(int, done.stderr.splitlines()[-1].split())
    assert code == 1
    assert len(told["pictures"]) == 33
    assert sum(told["counts"].values()) == 33
    assert [one["verdict"] for one in told["pictures"] if Path(one["file"]).name.startswith("good")] == ["accept"] * 3
    # Torch alone takes 450; the decoding process has 1,500 for itself.
    assert peak_mib < 1_500
