"""What a training shows while it goes."""

import io
import json

import pytest
from rich.console import Console

from qcgen.cli.live import Board, pilot_shown, pilot_words, training_shown

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


def test_the_board_takes_names_as_they_are_and_counts_the_matching_alone() -> None:
    board = Board("[red]night[/] [nowhere", 100)
    board.take({"event": "pairs", "stage": "pairs", "step": 40, "pairs_loss": 0.5})
    board.take({"event": "rollback", "stage": "pairs", "step": 41, "reason": "[/] not finite"})
    shown = Console(file=io.StringIO(), width=100)
    shown.print(board.table())
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]night[/] [nowhere: pairs, step 41" in text
    assert "of 100" not in text
    assert "[/] not finite" in text


def test_a_pilots_ledger_is_told_whole_and_its_trainings_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    trial = {"event": "trial", "pilot": True, "trial": "t1", "label": "alpha 0.5", "rung": 1, "left_s": 90.0}
    with pilot_shown("apparel") as tell:
        tell(trial)
        for _ in range(50):
            tell(STEP)
        tell({"event": "measured", "pilot": True, "trial": "t1", "numbers": {"kid": [35.5, 3.25]}})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["trial", "step", "measured"]
    assert lines[2]["numbers"] == {"kid": [35.5, 3.25]}


def test_events_of_a_pilot_have_words() -> None:
    said = [
        pilot_words({"event": "measured", "trial": "t1", "numbers": {"kid": (35.5, 3.25), "recall": (0.5, 0.01)}}),
        pilot_words({"event": "lost", "trial": "t2", "reason": "not finite"}),
        pilot_words({"event": "cut", "rung": 1, "kept": ["t1", "t3"], "thrown_away": 0.1234}),
        pilot_words({"event": "end", "pilot": True, "recommended": "t1"}),
    ]
    assert said == [
        "t1: kid 35.5 +- 3.2, recall 0.5 +- 0.01",
        "t2: lost, for not finite",
        "rung 1: t1, t3 went on; probability thrown away 0.12",
        "end recommended t1",
    ]
