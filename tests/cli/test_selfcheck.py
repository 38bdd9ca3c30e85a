"""`qcgen selfcheck` tells every check, and its exit code follows them."""

import json
from collections.abc import Iterator
from typing import ClassVar

import pytest

from qcgen.cli.main import main
from qcgen.distill.selfcheck import Check


def test_selfcheck_passes_and_lists_every_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selfcheck", "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))
    assert told["passed"] is True
    checks = [check for group in told["groups"] for check in group["checks"]]
    assert len(checks) > 300
    assert {"name", "item", "value", "expected", "tolerance", "relation", "passed"} == checks[0].keys()


def test_a_failed_check_is_named_and_gives_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        name: ClassVar[str] = "broken"
        title: ClassVar[str] = "A planted defect"

        def checks(self) -> Iterator[Check]:
            yield Check("two and two", "planted", 5.0, 4.0, 0.5)
            yield Check("nothing", "planted", float("nan"), 0.0, 0.5)

    monkeypatch.setattr("qcgen.distill.selfcheck.ground_truths", lambda: {"broken": Broken})
    assert main(["selfcheck"]) == 1
    out = capsys.readouterr().out
    assert "0 of 2 checks passed" in out
    assert "FAILED two and two: 5" in out
    assert out.count("FAILED") == 4
