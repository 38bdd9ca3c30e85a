"""What one start of a run tells while it works, and what it writes down when it ends."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from qcgen.core.clock import Clock
from qcgen.core.store import Store
from qcgen.core.types import REPORT_STAGE, Finding, Outcome, Produced, RunInfo, Shard
from qcgen.pipeline.interrupt import Stop
from qcgen.pipeline.progress import Progress

WriteReport = Callable[[RunInfo], Path]
Tell = Callable[[Progress], None]


class Account:
    """Counts and seconds of one start.

    Args:
        shards: all of the run, recorded or not.
        tell: receives every change of the counts.
    """

    def __init__(
        self, run: RunInfo, shards: Sequence[Shard], *, store: Store, clock: Clock, stop: Stop, tell: Tell | None
    ) -> None:
        self.run, self.shards, self.store, self.clock, self.stop, self.tell = run, shards, store, clock, stop, tell
        self.started = time.perf_counter()
        self.told = Progress(run.run_id, "start", run.planned)

    def begin(self) -> None:
        """Say what earlier starts left."""
        self.say(replace(self.told, done=self.count_done()))

    def checkpoint(self, made: int) -> None:
        """After `made` more pictures; raises where the run is to stop."""
        self.say(replace(self.told, phase="work", generated=self.told.generated + made))
        self.stop.check()

    def tell_recorded(self, produced: Sequence[Produced]) -> None:
        """After a shard was recorded; raises where the run is to stop."""
        outcomes = [last.verdict.outcome for last in {each.item.index: each for each in produced}.values()]
        told = self.told
        self.say(
            replace(
                told,
                done=told.done + len(outcomes),
                accepted=told.accepted + outcomes.count(Outcome.ACCEPT),
                flagged=told.flagged + outcomes.count(Outcome.REVIEW),
                rejected=told.rejected + outcomes.count(Outcome.REJECT),
                failed=told.failed + outcomes.count(Outcome.FAILED),
                retried=told.retried + len(produced) - len(outcomes),
            )
        )
        self.stop.check()

    def finish(self, base: RunInfo, status: str, gates: Sequence[Finding]) -> RunInfo:
        """Write down how the run stands; seconds add up over its starts."""
        stages = self.clock.seconds()
        total = {
            name: base.seconds_by_stage.get(name, 0.0) + stages.get(name, 0.0)
            for name in {**base.seconds_by_stage, **stages}
        }
        seconds = base.seconds + time.perf_counter() - self.started
        return self.store.finish_run(
            self.run.run_id, status=status, seconds=seconds, seconds_by_stage=total, gates=gates, report=None
        )

    def report(self, finished: RunInfo, report: WriteReport | None) -> RunInfo:
        """Write the report of a finished run, unless it is there.

        Its time is a stage and no part of the run's seconds: the page would tell others than the store does.
        """
        if report is not None and (finished.report is None or not Path(finished.report).exists()):
            started = time.perf_counter()
            path = report(finished)
            elapsed_s = time.perf_counter() - started
            finished = self.store.finish_run(
                finished.run_id,
                status="complete",
                seconds=finished.seconds,
                seconds_by_stage={**finished.seconds_by_stage, REPORT_STAGE: elapsed_s},
                gates=finished.gates,
                report=str(path),
            )
        self.say(replace(self.told, phase="finish", done=self.count_done()))
        return finished

    def all_done(self) -> bool:
        """Whether every shard is recorded."""
        return self.store.done_shards(self.run.run_id) >= {shard.number for shard in self.shards}

    def count_done(self) -> int:
        """Items that are recorded."""
        done = self.store.done_shards(self.run.run_id)
        return sum(shard.stop - shard.start for shard in self.shards if shard.number in done)

    def say(self, told: Progress) -> None:
        """Take these counts and pass them on."""
        self.told = replace(told, elapsed_s=time.perf_counter() - self.started)
        if self.tell is not None:
            self.tell(self.told)
