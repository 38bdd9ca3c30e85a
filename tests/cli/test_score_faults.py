"""`qcgen score` where a file, the disk or the user gets in its way: told, and nothing else is lost."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from qcgen.cli.main import main
from tests.cli.scoring import ended, started, without_privileges
from tests.data.hostile import encoded, photo

PROFILE = {
    "version": 1,
    "name": "plain",
    "alpha": 0.05,
    "near_duplicate_bits": 24,
    "calibration": None,
    "detectors": {"blank": {"importance": 0, "ceiling": -0.602}},
}
CALIBRATION = {
    "version": 1,
    "profile": "sized",
    "created": "2026-11-26",
    "source": "none",
    "n": 0,
    "alpha": 0.05,
    "split_seed": 0,
    "encoder_digest": None,
    "model_digest": None,
    "libraries": {},
    "uncalibrated": {},
    "detectors": {},
    "joint": [],
    "size": "64",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the profiles `plain.json` and `sized.json` (calibrated with 64 px) and pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.json").write_text(json.dumps(PROFILE))
    (tmp_path / "sized.json").write_text(json.dumps(PROFILE | {"name": "sized", "calibration": "of64.json"}))
    (tmp_path / "of64.json").write_text(json.dumps(CALIBRATION))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "good.png").write_bytes(encoded(photo(), "PNG"))
    return tmp_path


def _score(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str], str]:
    """Exit code, by file name the verdict or the reason of one that is not judged, stderr."""
    code = main(["score", *arguments, "--json"])
    out, err = capsys.readouterr()
    pictures = json.loads(out).get("pictures", [])
    return code, {Path(one["file"]).name: _told(one) for one in pictures}, err


def _told(one: dict[str, object]) -> str:
    reasons = one["reasons"]
    assert isinstance(reasons, list)
    return str(reasons[0]["evidence"]["reason"] if one["verdict"] == "failed" else one["verdict"])


def test_a_picture_of_another_size_has_a_row_and_the_others_are_judged(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "pictures" / "wide.png").write_bytes(encoded(photo(96, seed=5).resize((96, 48)), "PNG"))
    assert main(["score", "pictures", "--profile", "sized.json", "--json", "--out", "out"]) == 1
    wide = next(one for one in json.loads(capsys.readouterr().out)["pictures"] if "wide" in one["file"])
    (reason,) = wide["reasons"]
    assert wide["verdict"] == "failed"
    for words in ("96x48", "64 px", "sized", "photos", "--allow-stale"):
        assert words in reason["message"]
    assert "96x48" in (place / "out" / "scores.csv").read_text()
    _, rows, _ = _score(capsys, "pictures", "--profile", "sized.json")
    assert rows == {"good.png": "accept", "wide.png": "other_size"}
    code, rows, _ = _score(capsys, "pictures", "--profile", "sized.json", "--allow-stale")
    assert (code, rows) == (0, {"good.png": "accept", "wide.png": "accept"})


def test_where_the_calibration_fits_no_picture_each_has_its_row_and_a_calibration_is_missing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "pictures" / "good.png").write_bytes(encoded(photo(80), "PNG"))
    (place / "pictures" / "torn.png").write_bytes(encoded(photo(64), "PNG")[:200])
    code, rows, err = _score(capsys, "pictures", "--profile", "sized.json")
    assert (code, rows["good.png"]) == (3, "other_size")
    assert rows.keys() == {"good.png", "torn.png"}
    assert "fits no picture here" in err


def test_ctrl_c_is_told_with_words_one_object_and_exit_5(place: Path) -> None:
    for number in range(3000):
        os.link(place / "pictures" / "good.png", place / "pictures" / f"{number}.png")
    with started(["score", "pictures", "--profile", "plain.json", "--json"], place) as process:
        assert process.stderr is not None
        assert "score" in process.stderr.readline(), "nothing was scored: the signal would come too early"
        # As a terminal does: to the decoding process too.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    told = json.loads(out)
    assert (process.returncode, told["exit_code"]) == (5, 5)
    assert "Stopped. What was recorded is kept" in err
    assert "Stopped. What was recorded is kept" in told["problems"][0]


def test_a_place_that_cannot_be_written_is_told_before_work(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "file").touch()
    assert main(["score", "pictures", "--profile", "plain.json", "--out", "file", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["problems"] == err.splitlines()
    assert err.startswith("--out: ")
    assert "Cure: " in err


def test_results_that_cannot_be_put_where_they_belong_are_printed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "out" / "scores.csv").mkdir(parents=True)
    assert main(["score", "pictures", "--profile", "plain.json", "--out", "out", "--json"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["report"] is None
    assert len(told["pictures"]) == sum(told["counts"].values())
    assert "The verdicts are printed" in err


def test_a_value_that_ends_as_an_empty_one_would_is_a_value(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--db=sqlite:///none.db?mode=ro&x="]) != 0
    assert "empty" not in capsys.readouterr().err


@pytest.mark.parametrize("earlier", [False, True], ids=["new", "scored before"])
def test_a_read_only_folder_is_told_before_work(place: Path, earlier: bool) -> None:
    (place / "out").mkdir()
    if earlier:
        (place / "out" / ".qcgen.lock").touch()
    (place / "out").chmod(0o555)
    arguments = ["score", "pictures", "--profile", "plain.json", "--out", "out", "--json"]
    code, out, err = ended(arguments, place, before=without_privileges())
    assert (code, json.loads(out)["exit_code"]) == (2, 2)
    assert err.startswith("--out: ")
    assert "Permission denied" in err
    assert len(err.splitlines()) == 1, "nothing was scored first"


def test_on_a_full_disk_the_verdicts_are_printed_and_nothing_is_half_written(place: Path) -> None:
    arguments = ["score", "pictures", "--profile", "plain.json", "--out", "out", "--json"]
    code, out, err = ended(arguments, place, before=("prlimit", "--fsize=64"))
    told = json.loads(out)
    assert (code, told["report"]) == (5, None)
    assert [one["verdict"] for one in told["pictures"]] == ["accept"]
    assert "no space left" in told["problems"][0]
    assert told["problems"][0] in err
    assert "Unexpected" not in err
    assert [path.name for path in (place / "out").iterdir()] == [".qcgen.lock"]


def test_evidence_takes_no_place_from_the_results(place: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        PIL.Image.fromarray(noise).save(place / "pictures" / name)
    arguments = ["score", "pictures", "--profile", "plain.json", "--out", "out"]
    code, out, err = ended(arguments, place, before=("prlimit", "--fsize=45000"))
    assert code == 1, err
    assert "exact_duplicate" in out
    assert "exact_duplicate" in (place / "out" / "scores.csv").read_text()
    assert "exact_duplicate" in (place / "out" / "index.html").read_text()
    assert "evidence: " in err
    assert "the same command" in err
    assert "RUN" not in err


def test_a_profile_without_permission_is_the_users_mistake(place: Path) -> None:
    (place / "plain.json").chmod(0)
    arguments = ["score", "pictures", "--profile", "plain.json", "--json"]
    code, out, err = ended(arguments, place, before=without_privileges())
    assert (code, json.loads(out)["error"]) == (2, "SpecError")
    assert err == "plain.json: cannot be read (Permission denied). Give a readable file.\n"


def test_every_ending_of_a_picture_is_read_or_has_a_row_and_files_without_one_are_counted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place / "pictures"
    for seed, ending in enumerate(("jfif", "jpe", "jif")):
        (folder / f"good.{ending}").write_bytes(encoded(photo(seed=seed + 1), "JPEG"))
    others = ("j2k", "pbm", "pgm", "ppm", "cr2", "nef", "arw", "eps")
    for name in (*(f"other.{ending.upper()}" for ending in others), "scan", "LICENSE", ".hidden", "notes.txt"):
        (folder / name).write_bytes(b"content")
    code, rows, err = _score(capsys, "pictures", "--profile", "plain.json")
    assert code == 1
    assert {name for name, told in rows.items() if told == "accept"} == {
        "good.png",
        "good.jfif",
        "good.jpe",
        "good.jif",
    }
    assert {name for name, told in rows.items() if told == "no_picture"} == {f"other.{one.upper()}" for one in others}
    assert "2 files without an ending were left out" in err


def test_what_a_shell_names_has_a_row_unless_nothing_there_is_like_a_picture(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "n.txt").write_text("notes")
    PIL.Image.new("P", (8, 8)).save(place / "anim.gif")
    code, rows, _ = _score(capsys, "n.txt", "anim.gif", "pictures/good.png", "--profile", "plain.json")
    assert (code, rows) == (1, {"n.txt": "no_picture", "anim.gif": "no_picture", "good.png": "accept"})
    code, rows, _ = _score(capsys, "n.txt", "anim.gif", "--profile", "plain.json")
    assert (code, rows) == (1, {"n.txt": "no_picture", "anim.gif": "no_picture"})
    code, rows, err = _score(capsys, "n.txt", "--profile", "plain.json")
    assert (code, rows) == (2, {})
    assert "n.txt" in err


@pytest.mark.parametrize(
    "arguments",
    [["score", ""], ["score", "pictures", "--out", ""], ["score", "pictures", "--out="], ["calibrate", ""]],
    ids=" ".join,
)
def test_an_empty_argument_is_no_name_for_the_current_folder(
    arguments: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(place.iterdir())
    assert main([*arguments, "--profile", "plain.json"]) == 2
    assert "empty" in capsys.readouterr().err
    assert set(place.iterdir()) == before
