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

        title = f"{self.name}: {self.stage}, step {self.step} of {self.steps}{self._left()}"
        table = Table(title=title, show_header=False, title_justify="left")
        for key, label in _SHOWN.items():
            if key in self.numbers:
                table.add_row(label, f"{self.numbers[key]:.4g}")
        if self.trust is not None:
            table.add_row("trust in the ratio, mean over bins", f"{self.trust:.2f}")
        for line in self.told:
            table.add_row("", line)
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
