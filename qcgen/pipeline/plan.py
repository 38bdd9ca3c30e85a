"""The dry run: what a job would make, how large, how long, and what stands against it. Loads and writes nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcgen.core.expand import Expansion
from qcgen.core.job import JobSpec
from qcgen.core.types import Finding, Item, Severity

# Bytes per pixel with our encoders' settings, the mean over 145 garment photos of 128 px.
# JPEG quality 95 with full chroma, WebP quality 90. The largest PNG of the sample took 2.1.
BYTES_PER_PIXEL: Mapping[str, float] = {"png": 1.4, "jpeg": 0.5, "webp": 0.2}
FILE_OVERHEAD = 1_000  # headers and the XMP packet
ROW_BYTES = 6_000  # database rows of one image: item, scores, verdict, a thumbnail of 96 px
DISK_MARGIN = 1.5  # busier pictures than the sample, and second attempts
DISK_RESERVE = 64 * 2**20  # report, journals
FIRST_ITEMS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would do.

    Attributes:
        rows, images_per_item, items: items = rows * images_per_item; second attempts come on top.
        skipped_rows: repeated SKUs left out by `items.duplicates: skip`.
        unique_prompts: texts to embed.
        shards, shard_size: units of work and of resuming.
        bytes_by_format: all images in each format, of one attempt each.
        bytes_per_image: the assumption behind it, and the database's share.
        bytes_needed: images in the job's format and database rows, with margin.
        disk_ok: the output's disk has that much.
        hours: None while the speed of this model on this machine is not known.
        findings: the licence gate's; `blocked` if one of them stops the job.
        first_items: for the eye.
    """

    name: str
    model: str
    purpose: str
    rows: int
    images_per_item: int
    items: int
    skipped_rows: int
    unique_prompts: int
    shards: int
    shard_size: int
    size_px: int
    format: str
    bytes_by_format: Mapping[str, int]
    bytes_per_image: Mapping[str, int]
    bytes_needed: int
    free_bytes: int
    disk_ok: bool
    images_per_second: float | None
    hours: float | None
    findings: tuple[Finding, ...]
    blocked: bool
    first_items: tuple[Item, ...]
    items_digest: str


def make_plan(
    job: JobSpec,
    expansion: Expansion,
    findings: Sequence[Finding],
    *,
    free_bytes: int,
    images_per_second: float | None,
) -> Plan:
    """Plan a job.

    Args:
        expansion: its items.
        findings: from the licence gate.
        free_bytes: free space where the output goes.
        images_per_second: measured speed, all stages; None if unknown.
    """
    count = len(expansion)
    per_image = {name: _image_bytes(name, expansion.size_px) for name in BYTES_PER_PIXEL}
    needed = math.ceil(count * (per_image[job.output.format] * DISK_MARGIN + ROW_BYTES)) + DISK_RESERVE
    return Plan(
        name=job.name,
        model=job.model,
        purpose=job.purpose,
        rows=expansion.source.rows,
        images_per_item=expansion.images_per_item,
        items=count,
        skipped_rows=expansion.skipped,
        unique_prompts=len(expansion.prompts()),
        shards=len(expansion.shards(job.engine.shard_size)),
        shard_size=job.engine.shard_size,
        size_px=expansion.size_px,
        format=job.output.format,
        bytes_by_format={name: count * size for name, size in per_image.items()},
        bytes_per_image={**per_image, "database": ROW_BYTES},
        bytes_needed=needed,
        free_bytes=free_bytes,
        disk_ok=free_bytes >= needed,
        images_per_second=images_per_second,
        hours=count / images_per_second / 3600 if images_per_second else None,
        findings=tuple(findings),
        blocked=any(finding.severity is Severity.BLOCK for finding in findings),
        first_items=tuple(expansion.item(index) for index in range(min(FIRST_ITEMS, count))),
        items_digest=expansion.digest,
    )


def _image_bytes(image_format: str, size_px: int) -> int:
    return math.ceil(BYTES_PER_PIXEL[image_format] * size_px**2) + FILE_OVERHEAD
