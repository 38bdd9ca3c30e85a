"""The doctor's list is complete, and its exit code follows it."""

import json
from pathlib import Path

import pytest

from qcgen.cli.main import main


def test_the_doctor_tells_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in told["checks"]}
    assert {"python", "torch", "threads", "cuda", "database", "disk"} <= checks.keys()
    assert "journal" in checks["database"]["found"]
    assert code == (0 if told["ok"] else 3)
    assert told["ok"] == all(check["cure"] is None for check in told["checks"])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_database_folder_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--db", "sqlite:///nowhere/qcgen.db", "--json"]) == 3
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "mkdir" in checks["database"]["cure"]
