"""Detectors from outside: the documentation's example works from file to verdict, and nothing else is ever loaded."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from qcgen.cli.main import main
from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.types import Score, Unscored
from qcgen.qc.inspect import Inspector
from qcgen.qc.plugins import FOLDERS
from qcgen.qc.policy import build_policy, load_policy
from qcgen.qc.profile import Profile
from qcgen.qc.registry import detector_plugins, find_corruptions, find_detectors
from qcgen.qc.targets import target_of
from tests.conftest import ROOT

EXAMPLE = re.compile(r"### A detector of your own\n.*?```python\n(.*?)```", re.DOTALL)
README = re.compile(r"## Add a detector\n.*?```python\n(.*?)```", re.DOTALL)
WHOLE = {"version": 1, "name": "mine", "alpha": 0.05, "near_duplicate_bits": 0, "calibration": None}


def example(page: str = "docs/qc.md", pattern: re.Pattern[str] = EXAMPLE) -> str:
    found = pattern.search((ROOT / page).read_text(encoding="utf-8"))
    assert found is not None
    return found.group(1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where plug-ins are looked for; each test's own, so that no answer of another test is remembered."""
    path = tmp_path / "checks"
    path.mkdir()
    monkeypatch.setenv(FOLDERS, str(path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return path


def _photos(folder: Path, count: int = 100, side: int = 40) -> None:
    """Crops of what the embedded student makes."""
    sheet = PIL.Image.open(ROOT / "qcgen" / "models" / "assets" / "apparel" / "sheet.webp").convert("RGB")
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        column, row = (int(rng.integers(0, length // 128)) * 128 for length in sheet.size)
        shift = int(rng.integers(0, 32))
        box = (column + shift, row + shift, column + shift + 96, row + shift + 96)
        sheet.crop(box).resize((side, side)).save(folder / f"{i:03d}.png")


def test_the_documented_detectors_pass_the_conformance_tests_that_their_pages_name(folder: Path) -> None:
    for page, pattern, name in (("docs/qc.md", EXAMPLE, "spread"), ("README.md", README, "brightness")):
        assert f"pytest tests/conformance -k {name}" in (ROOT / page).read_text(encoding="utf-8")
        (folder / f"{name}.py").write_text(example(page, pattern))
    # As a user runs it: another process, because the suite finds its detectors when it is imported.
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/conformance", "-k", "spread or brightness", "-q"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert int(re.search(r"(\d+) passed", told.stdout)[1]) >= 2 * 40  # type: ignore[index]  # it passed, so it says so


def test_the_documented_example_is_found_measured_and_may_then_judge(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example().count("\n") <= 30
    (folder / "spread.py").write_text(example())
    profile = tmp_path / "mine.json"
    profile.write_text(json.dumps({**WHOLE, "detectors": {"spread": {"importance": 1}}}))
    with pytest.raises(PrerequisiteError, match="spread: no table says what it detects"):
        load_policy(str(profile))
    _photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    code = main(["bench", "qc", "--only", "spread", "--quick", "--write", "--data", "mine=photos", "--json"])
    assert code == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["tables"] == [str(folder / "tables" / "spread.json")]
    assert load_policy(str(profile)).names() == ("spread",)


def _write(folder: Path, name: str, body: str) -> None:
    (folder / f"{name}.py").write_text(
        example().replace("spread", name).replace("return scored", f"{body}\n        return scored")
    )


@pytest.mark.parametrize(
    "body",
    ["raise OSError('gone')", "return None", "return scored(batch.luma.mean((1, 2)) * float('nan'), self.range)"],
)
def test_a_plugin_that_fails_costs_its_score_and_not_the_run(folder: Path, body: str) -> None:
    _write(folder, "odd", body)
    profile = Profile.model_validate({**WHOLE, "detectors": {"odd": {}, "blank": {}}})
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    for odd, blank in Inspector(build_policy(profile, None, sha256=""), None).measure(images, [""] * 2, [{}] * 2):
        assert isinstance(odd, Unscored)
        assert odd.reason == "plugin_failed"
        assert isinstance(blank, Score)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("taken", example().replace('"spread"', '"blur"'), "'blur' is taken"),
        ("spelled", example().replace('"spread"', '"a b"'), "is no identifier"),
        ("short", example().replace("    higher_is_better: ClassVar[bool] = True\n", ""), "lacks higher_is_better"),
        ("nothing", "x = 1\n", "registers nothing"),
        ("torn", "def", "cannot be imported"),
    ],
)
def test_a_plugin_that_cannot_serve_is_told_with_its_path(folder: Path, name: str, text: str, told: str) -> None:
    (folder / f"{name}.py").write_text(text)
    with pytest.raises((SpecError, PrerequisiteError), match=told) as error:
        find_detectors()
    assert f"{name}.py" in str(error.value)
    assert "Cure: " in str(error.value)


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_that_others_may_write_is_not_run(folder: Path, mode: int) -> None:
    (folder / "spread.py").write_text("raise SystemExit\n")
    folder.chmod(mode)
    with pytest.raises(SpecError, match="others may write"):
        find_detectors()


def test_a_file_that_others_may_write_is_not_run(folder: Path) -> None:
    (folder / "spread.py").write_text("raise SystemExit\n")
    (folder / "spread.py").chmod(0o666)
    with pytest.raises(SpecError, match="others may write"):
        find_detectors()


def test_a_job_or_profile_cannot_name_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**WHOLE, "plugins": str(tmp_path), "detectors": {"blank": {"importance": 0}}}))
    with pytest.raises(SpecError, match="plugins"):
        load_policy(str(path))


def test_an_installed_package_brings_detector_corruption_and_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "fading").mkdir(parents=True)
    (site / "fading" / "__init__.py").write_text(example())
    (site / "fading" / "fade.py").write_text(
        (ROOT / "qcgen" / "qc" / "corruptions" / "contrast_down.py")
        .read_text()
        .replace('"contrast_down"', '"fade"')
        .replace("    local:", '    target = Target("A2", "blank", ("fade",), 3, 0.9, None)\n    local:')
        .replace("import torch\n", "import torch\nfrom qcgen.qc.targets import Target\n", 1)
    )
    info = site / "fading-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fading\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qcgen.detectors]\nspread = fading:Spread\n[qcgen.corruptions]\nfade = fading.fade:ContrastDown\n"
    )
    monkeypatch.syspath_prepend(str(site))
    try:
        assert find_detectors()["spread"].version == 1
        assert target_of("fade") == find_corruptions()["fade"].target  # type: ignore[attr-defined]
        assert not detector_plugins()["spread"].owned
        profile = tmp_path / "mine.json"
        profile.write_text(json.dumps({**WHOLE, "detectors": {"spread": {"importance": 1}}}))
        (site / "fading" / "tables").mkdir()
        table = {
            "detector": "spread",
            "version": 1,
            "made": "",
            "quick": True,
            "passed": {"mine": ["fade"]},
            "missed": {},
        }
        (site / "fading" / "tables" / "spread.json").write_text(json.dumps(table))
        assert load_policy(str(profile)).names() == ("spread",)
    finally:
        for name in ("fading", "fading.fade"):
            sys.modules.pop(name, None)
