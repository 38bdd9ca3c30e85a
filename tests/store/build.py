"""Small real values to record."""

import hashlib

from qcgen.core.types import (
    Card,
    Finding,
    Image,
    Item,
    Lineage,
    Outcome,
    Produced,
    RunInfo,
    Score,
    Severity,
    Shard,
    Unscored,
    Verdict,
)

POLICY = "a" * 64
NEW_POLICY = "b" * 64


def run_info(run_id: str = "run-1", *, name: str = "nightly", planned: int = 8) -> RunInfo:
    return RunInfo(
        run_id=run_id,
        name=name,
        status="running",
        purpose="commercial",
        job_path="jobs/demo.yaml",
        spec_sha256="c" * 64,
        spec_json='{"name":"nightly"}',
        model="embedded:apparel",
        model_digest="d" * 64,
        policy_sha256=POLICY,
        planned=planned,
        out_dir="out/nightly",
        started_at="2026-11-23T00:00:00.000+00:00",
        ended_at=None,
        seconds=0.0,
        seconds_by_stage={},
        environment={"torch": "2.13.0"},
        gates=(),
        report=None,
    )


def shards(planned: int, size: int) -> list[Shard]:
    starts = range(0, planned, size)
    return [Shard(number, start, min(start + size, planned)) for number, start in enumerate(starts)]


def blur(value: float = 0.4) -> Finding:
    return Finding("blur", Severity.BLOCK, "too blurred: 0.4, limit 0.3", value, 0.3, {"box": "1,2,3,4"})


def produced(
    index: int,
    attempt: int = 1,
    *,
    outcome: Outcome = Outcome.ACCEPT,
    run_id: str = "run-1",
    metrics: int = 3,
    reasons: tuple[Finding, ...] = (),
    thumbnail: bytes | None = b"RIFF",
) -> Produced:
    image_id = hashlib.blake2b(f"{run_id} {index} {attempt}".encode(), digest_size=16).hexdigest()
    failed = outcome is Outcome.FAILED
    image = Image(
        f"images/{index}-{attempt}.png",
        hashlib.sha256(image_id.encode()).hexdigest(),
        1000 + index,
        64,
        48,
        hashlib.sha256(b"pixels " + image_id.encode()).hexdigest(),
    )
    return Produced(
        item=Item(
            index=index,
            id=image_id,
            sku=f"SKU-{index // 2} ü",
            prompt=f"a photo of a red dress {index // 2}",
            fields={"colour": "red", "product": "dress"},
            # The largest seed there is: it does not fit into four signed bytes.
            seed=2**32 - 1 - index,
            size_px=64,
            attempt=attempt,
        ),
        image=None if failed else image,
        measures=(
            *(Score(f"detector_{number}", 1, index + number / 16) for number in range(metrics)),
            Unscored("colour", 2, "no_foreground"),
        ),
        verdict=Verdict(outcome, reasons, None if failed else 0.25, POLICY),
        gen_s=0.125,
        error="nan" if failed else None,
        phash=None if failed else image_id * 2,
        thumbnail=None if failed else thumbnail,
    )


def whole_shard(shard: Shard, *, run_id: str = "run-1", metrics: int = 3) -> list[Produced]:
    return [produced(index, run_id=run_id, metrics=metrics) for index in range(shard.start, shard.stop)]


CARD = Card(
    name="apparel",
    kind="student",
    licence="Apache-2.0",
    lineage=(
        Lineage("distilled_from", "apparel-teacher", "Apache-2.0"),
        Lineage("trained_on", "clothing128", "CC0-1.0"),
    ),
    declared=True,
    measures={},
    notes={},
)
