"""What a training shows while it goes."""

import io
import json

import pytest
from rich.console import Console

from qcgen.cli.live import Board, training_shown

STEP = {
    "event": "step", "stage": "matching", "step": 40, "fake_loss": 0.25, "ess": 0.8, "ratio": {"trust": [0.5, 1.0]},
}  # fmt: skip


def test_without_a_terminal_events_are_json_lines_and_decisions_are_never_held_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with training_shown("apparel", 100) as tell:
        for _ in range(50):
            tell(STEP)
        tell({"event": "rollback", "stage": "matching", "step": 41, "reason": "not finite"})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["step", "rollback"]
    assert lines[0]["fake_loss"] == 0.25
    assert "ratio" not in lines[0], "tables belong into the log"


def test_the_board_shows_the_newest_numbers_and_the_last_decisions() -> None:
    board = Board("apparel", 100)
    board.take({**STEP, "step": 0, "fake_loss": 0.9})
    board.take(STEP)
    board.take({"event": "evaluation", "stage": "matching", "step": 41, "distance": 3.25, "best": True})
    shown = Console(file=io.StringIO(), width=100)
    shown.print(board.table())
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "step 41 of 100" in text
    assert "0.25" in text
    assert "0.9 " not in text
    assert "0.75" in text, "mean trust over the bins"
    assert "distance 3.25" in text
    assert "min left" in text
