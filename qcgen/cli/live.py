"""A training as it goes: a table that stays in place on a terminal, else JSON lines; both on stderr."""

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

Tell = Callable[[Mapping[str, object]], None]
_SHOWN = {
    "fake_loss": "fake score's loss",
    "fresh_fake_loss": "... on fresh samples",
    "d_accuracy": "discriminator accuracy (0.5 is chance)",
    "dm_norm": "matching gradient",
    "gan_norm": "adversarial gradient",
    "ess": "effective share of the batch",
    "std_ratio": "deviation against the reference (1)",
    "saturation": "extreme values against the reference (1)",
    "detail_ratio": "fine detail against the reference (1)",
    "score_cosine": "agreement of discriminator and fake score",
    "fake_updates": "fake-score updates a step",
    "pairs_loss": "loss on pairs",
}
_EVERY_S = 2.0


@contextmanager
def training_shown(name: str, steps: int) -> Iterator[Tell]:
    """Receives the events of a training of `steps` student steps."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.live import Live

    board = Board(name, steps)
    with Live(board.table(), console=Console(stderr=True), auto_refresh=False) as live:

        def tell(event: Mapping[str, object]) -> None:
            board.take(event)
            live.update(board.table(), refresh=True)

        yield tell


@contextmanager
def pilot_shown(name: str) -> Iterator[Tell]:
    """Receives the events of a pilot's ledger (marked `pilot`) and of its trainings."""
    if not sys.stderr.isatty():
        lines = _lines()

        def write(event: Mapping[str, object]) -> None:
            if event.get("pilot"):
                print(json.dumps(event), file=sys.stderr, flush=True)
            else:
                lines(event)

        yield write
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    board, told = Board(name, 0), deque[Text](maxlen=8)
    with Live(board.table(), console=Console(stderr=True), auto_refresh=False) as live:

        def tell(event: Mapping[str, object]) -> None:
            nonlocal board
            if not event.get("pilot"):
                board.take(event)
            elif event["event"] == "trial":
                to_step = event.get("to_step")
                board = Board(f"{name}, {_trial_words(event)}", to_step if isinstance(to_step, int) else 0)
            else:
                told.append(Text(pilot_words(event)))
            live.update(Group(board.table(), *told), refresh=True)

        yield tell


def pilot_words(event: Mapping[str, object]) -> str:
    """What an event of a pilot's ledger says, in one line."""
    kind, trial = event["event"], event.get("trial")
    if kind == "measured":
        numbers = event.get("numbers")
        pairs = numbers.items() if isinstance(numbers, Mapping) else ()
        return f"{trial}: " + ", ".join(f"{key} {value:.3g} +- {error:.2g}" for key, (value, error) in pairs)
    if kind == "lost":
        return f"{trial}: lost, for {event.get('reason')}"
    if kind in {"cut", "decided"}:
        kept, thrown = event.get("kept"), event.get("thrown_away")
        names = ", ".join(map(str, kept)) if isinstance(kept, list | tuple) else ""
        return f"rung {event.get('rung')}: {names or 'none'} went on; probability thrown away {thrown:.2f}"
    return f"{kind} " + ", ".join(f"{key} {value}" for key, value in event.items() if key not in {"event", "pilot"})


def _trial_words(event: Mapping[str, object]) -> str:
    left_s = event.get("left_s")
    left = f", {left_s / 60:.0f} min of the pilot left" if isinstance(left_s, int | float) else ""
    return f"rung {event.get('rung')}, {event.get('trial')} ({event.get('label')}){left}"


class Board:
    """The newest number of each kind, the time left, and the last decisions."""

    def __init__(self, name: str, steps: int) -> None:
        self.name, self.steps = name, steps
        self.numbers: dict[str, float] = {}
        self.trust: float | None = None
        self.stage, self.step = "start", 0
        self.told: deque[str] = deque(maxlen=4)
        self.began: tuple[float, int] | None = None

    def take(self, event: Mapping[str, object]) -> None:
        step = event.get("step")
        self.stage, self.step = str(event.get("stage", self.stage)), step if isinstance(step, int) else self.step
        if self.stage == "matching" and self.began is None:
            self.began = time.monotonic(), self.step
        self.numbers.update({key: value for key in _SHOWN if isinstance(value := event.get(key), int | float)})
        ratio = event.get("ratio")
        if isinstance(ratio, Mapping) and ratio.get("trust"):
            self.trust = sum(ratio["trust"]) / len(ratio["trust"])
        if event["event"] in {"evaluation", "rollback", "resume", "end"}:
            told = {key: event[key] for key in ("distance", "recall", "best", "reason") if key in event}
            words = [
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in told.items()
            ]
            self.told.append(f"step {self.step}: {event['event']} {', '.join(words)}")

    def table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        # The number of steps is the matching's; the stages before it have their own.
        whole = f" of {self.steps}" if self.stage == "matching" else ""
        # As text: a name may hold what rich takes for markup.
        title = Text(f"{self.name}: {self.stage}, step {self.step}{whole}{self._left()}", style="table.title")
        table = Table(title=title, show_header=False, title_justify="left")
        for key, label in _SHOWN.items():
            if key in self.numbers:
                table.add_row(label, f"{self.numbers[key]:.4g}")
        if self.trust is not None:
            table.add_row("trust in the ratio, mean over bins", f"{self.trust:.2f}")
        for line in self.told:
            table.add_row("", Text(line))
        return table

    def _left(self) -> str:
        if self.began is None or self.step <= self.began[1]:
            return ""
        began_s, first = self.began
        left_s = (time.monotonic() - began_s) / (self.step - first) * (self.steps - self.step)
        return f", {left_s / 60:.0f} min left"


def _lines() -> Tell:
    last_s = float("-inf")

    def tell(event: Mapping[str, object]) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if event["event"] in {"step", "pairs", "warmup", "checkpoint"} and now_s - last_s < _EVERY_S:
            return
        last_s = now_s
        shown = {key: value for key, value in event.items() if isinstance(value, str | int | float | None)}
        print(json.dumps(shown), file=sys.stderr, flush=True)

    return tell
