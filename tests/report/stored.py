"""Made-up runs in a real database, as the pipeline would have recorded them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from qcgen.core.types import Image, Item, Measure, Produced, Row, RunInfo, Score, Shard, Unscored, Verdict
from qcgen.store.sql import SqlStore


def keep_run(store: SqlStore, run: RunInfo, rows: Iterable[Row], *, status: str = "complete") -> RunInfo:
    """Record every attempt in one shard and finish the run."""
    by_item: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_item[row.item_index].append(row)
    shard = Shard(0, 0, max(by_item, default=0) + 1)
    store.start_run(run, [shard])
    leased = store.lease(run.run_id, "test", seconds=60)
    assert leased is not None
    produced = [_produced(run, row) for index in sorted(by_item) for row in by_item[index]]
    assert not produced or store.record(run.run_id, shard, leased[1], produced)
    return store.finish_run(
        run.run_id, status=status, seconds=run.seconds, seconds_by_stage={}, gates=run.gates, report=None
    )


def folder_of(root: Path, run_id: str) -> str:
    """Where the pictures of a run would be."""
    return str(root / "out" / run_id)


def _produced(run: RunInfo, row: Row) -> Produced:
    name = hashlib.blake2b(f"{run.run_id}/{row.image_id}".encode(), digest_size=16).hexdigest()
    item = Item(row.item_index, name, row.sku, row.prompt, dict(row.fields), row.seed, 128, row.attempt)
    image = None
    if row.relpath is not None:
        digest = hashlib.sha256(name.encode()).hexdigest()
        image = Image(row.relpath, digest, row.bytes, row.width, row.height, digest)
    measures: list[Measure] = [Score(detector, 1, value) for detector, value in row.measures.items()]
    measures += [Unscored(detector, 1, reason) for detector, reason in row.unscored.items()]
    verdict = Verdict(row.outcome, row.reasons, row.joint_p, run.policy_sha256)
    return Produced(item, image, tuple(measures), verdict, row.gen_s, row.error, None, row.thumbnail)
