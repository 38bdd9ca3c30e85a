"""A small real desk: a run in a database, its picture files on the disk, and tasks of every kind."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from qcgen.core.review import Kind, TaskDraft
from qcgen.core.types import Finding, Image, Outcome, Produced, Severity
from qcgen.store.sql import SqlStore, open_store
from tests.store.build import produced, run_info, shards

RUN = "run-1"
CODES = ("blur", "noise", "colour")


@dataclass(frozen=True, slots=True)
class Text:
    """What stands in the text fields of every row."""

    sku: str | None = None
    prompt: str | None = None
    field: str | None = None
    finding: str | None = None


def draw(number: int, size: int = 96) -> bytes:
    """A PNG of a dress-like blob, another one for each number."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:size, :size] / size
    wide = 0.16 + 0.25 * y * rng.uniform(0.6, 1.4)
    inside = (np.abs(x - 0.5) < wide) & (y > 0.12) & (y < 0.9)
    codes = np.where(inside[..., None], rng.integers(20, 200, 3), 235) + rng.normal(0, 3, (size, size, 3))
    file = BytesIO()
    Picture.fromarray(np.clip(codes, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_picture(root: Path, relpath: str, data: bytes) -> str:
    """Its sha256."""
    path = root / relpath
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def make_rows(out: Path, count: int, text: Text = Text()) -> list[Produced]:
    """Every second picture is flagged; two belong to one product."""
    made = []
    for index in range(count):
        flagged = index % 2 == 0
        said = text.finding or f"the check {CODES[index % 3]} gives 0.4, limit 0.3"
        reasons = (Finding(CODES[index % 3], Severity.WARN, said, 0.4, 0.3),) if flagged else ()
        one = produced(index, outcome=Outcome.REVIEW if flagged else Outcome.ACCEPT, reasons=reasons, thumbnail=None)
        relpath = f"images/{index}.png"
        digest = write_picture(out, relpath, draw(index))
        image = Image(relpath, digest, 1000, 96, 96, digest)
        item = replace(
            one.item,
            sku=text.sku or f"SKU-{index // 2}",
            prompt=text.prompt or one.item.prompt,
            fields={"colour": text.field or "red", "product": "dress", **({text.field: "x"} if text.field else {})},
        )
        made.append(replace(one, item=item, image=image))
    return made


def drafts(
    out: Path, made: Sequence[Produced], *, audits: int = 2, seeds: int = 1, doubles: int = 1
) -> list[TaskDraft]:
    """Tasks for all flagged ones, and a few of the other kinds."""
    found = []
    flagged = [one for one in made if one.verdict.outcome is Outcome.REVIEW]
    passed = [one for one in made if one.verdict.outcome is Outcome.ACCEPT]
    for place, one in enumerate(flagged):
        found.append(_draft(one, Kind.FLAGGED, one.verdict.reasons[0].kind, cost=1000 - place))
    for one in flagged[:doubles]:
        found.append(_draft(one, Kind.DOUBLE, one.verdict.reasons[0].kind, cost=1))
    for one in passed[:audits]:
        found.append(_draft(one, Kind.AUDIT, "", cost=2, p=0.25))
    for number, one in enumerate(passed[audits : audits + seeds]):
        relpath = f"review/seed-{number}.png"
        digest = write_picture(out, relpath, draw(10_000 + number))
        seed = replace(_draft(one, Kind.SEED, "blur", cost=3), image_id=f"seed-{number}", relpath=relpath)
        found.append(replace(seed, file_sha256=digest, source_id=one.item.id))
    return found


def _draft(one: Produced, kind: Kind, code: str, *, cost: float, p: float = 1.0) -> TaskDraft:
    assert one.image is not None
    return TaskDraft(one.item.id, kind, one.item.sku, p, cost, code, one.image.relpath, one.image.sha256)


def make_store(root: Path, count: int = 24, *, text: Text = Text(), audits: int = 2, seeds: int = 1) -> SqlStore:
    """A database file under `root` with one run, its files and its tasks."""
    out = root / "out"
    made = make_rows(out, count, text)
    store = open_store(f"sqlite:///{root}/qcgen.db")
    store.start_run(replace(run_info(planned=count), out_dir=str(out)), shards(count, count))
    leased = store.lease(RUN, "worker", seconds=60)
    assert leased is not None
    assert store.record(RUN, *leased, made)
    store.review.add_tasks(RUN, drafts(out, made, audits=audits, seeds=seeds))
    return store
