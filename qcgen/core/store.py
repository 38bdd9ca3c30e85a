"""The Store protocol: what the pipeline records and what readers ask. The only implementation lives in
`qcgen.store`."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from qcgen.core.review import ReviewStore
from qcgen.core.types import Card, Finding, Produced, Row, RunInfo, Shard, Verdict


class Store(Protocol):
    """Every method is one transaction. Numbers of shards and items are 0-based."""

    @property
    def review(self) -> ReviewStore:
        """The review desk of the same database."""
        ...

    def start_run(self, run: RunInfo, shards: Sequence[Shard]) -> RunInfo:
        """Record a new run with its shards, or attach: a run of the same `run_id` is returned as stored (status set
        to running)."""
        ...

    def lease(self, run_id: str, owner: str, *, seconds: float) -> tuple[Shard, int] | None:
        """Take the lowest shard that is open or whose lease ran out; returns it with its fencing token, None when
        all are done."""
        ...

    def reopen(self, run_id: str, shard: int) -> None:
        """Forget a shard's rows and open it again (its files were lost)."""
        ...

    def record(self, run_id: str, shard: Shard, token: int, produced: Sequence[Produced]) -> bool:
        """Insert all attempts of a shard and mark it done, in one transaction; False (and nothing written) if the
        token is stale."""
        ...

    def rejudge(self, run_id: str, verdicts: Sequence[tuple[str, Verdict]], policy_sha256: str) -> None:
        """Replace verdicts (by image id) after a new policy; the old ones stay as history."""
        ...

    def finish_run(
        self,
        run_id: str,
        *,
        status: str,
        seconds: float,
        seconds_by_stage: dict[str, float],
        gates: Sequence[Finding],
        report: str | None,
    ) -> RunInfo: ...

    def keep_report(self, run_id: str, report: str, sums_sha256: str) -> RunInfo:
        """Name a run's report, and tell the digest of its SHA256SUMS in the hash chain; nothing else of it changes."""
        ...

    def note(self, run_id: str, action: str, facts: dict[str, str]) -> None:
        """Add facts to the run's environment, and tell of them in the hash chain."""
        ...

    def audit(self, run_id: str, action: str, body: dict[str, str]) -> None:
        """Append one event to the hash chain."""
        ...

    def chain_problems(self) -> Sequence[str]:
        """The first break of the hash chain; empty where it is whole."""
        ...

    def register_model(self, digest: str, card: Card) -> None:
        """Keep what a model's card declares; the same card again changes nothing, another one replaces it."""
        ...

    def card(self, digest: str) -> Card | None:
        """What a model's card declared when a run last began with it: licence and lineage, without measures and notes;
        None where no card was kept."""
        ...

    def run(self, run_id: str) -> RunInfo | None: ...

    def runs(self) -> Sequence[RunInfo]:
        """Newest first."""
        ...

    def find_run(self, name_or_id: str) -> RunInfo | None:
        """By id, by a unique prefix of it, or the newest run of that job name."""
        ...

    def rows(self, run_id: str, *, every_attempt: bool = False) -> Iterator[Row]:
        """In item order (then attempt); only the attempt that stands, unless asked for all."""
        ...

    def hashes(self, run_id: str) -> Sequence[tuple[str, str, str]]:
        """(image_id, pixels_sha256, fingerprint) of every stored image in item order, for duplicate checks."""
        ...

    def done_shards(self, run_id: str) -> frozenset[int]: ...

    def close(self) -> None: ...
