"""The report as one file to send by mail: the summary and thumbnails inside it, no link that leads nowhere."""

import base64
import hashlib
import heapq
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qcgen.core.types import Outcome, Row
from qcgen.core.wording import several
from qcgen.report.folder import write_page
from qcgen.report.html import render_single
from qcgen.report.protocol import (
    Band,
    Block,
    Case,
    Cases,
    Cell,
    Code,
    Figure,
    Gallery,
    Link,
    Panels,
    Picture,
    Section,
    Table,
)
from qcgen.report.runview import RunView
from qcgen.report.sprites import Pictures

SINGLE = "single.html"
MOST_BYTES = 3_000_000
MOST_THUMBNAILS = 200
_SAMPLED = 150
_TILE_PX = 96


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """`data`: WebP."""

    title: str
    prompt: str
    data: bytes


class Sample:
    """Accepted images drawn at random: those with the smallest hash of their id, so the same ones every time."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, int, Row]] = []

    def offer(self, row: Row) -> None:
        if row.outcome is not Outcome.ACCEPT or row.relpath is None:
            return
        rank = int.from_bytes(hashlib.blake2b(row.image_id.encode("utf-8", "replace"), digest_size=8).digest())
        entry = (-rank, row.item_index, row)
        if len(self._kept) < _SAMPLED:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def thumbnails(self, pictures: Pictures) -> tuple[Thumbnail, ...]:
        """In item order; pictures that cannot be read are left out (the grid has counted them)."""
        lost, made = pictures.lost, []
        for _, _, row in sorted(self._kept, key=lambda entry: entry[1]):
            picture = pictures.thumbnail(row, _TILE_PX)
            if picture is not None:
                out = io.BytesIO()
                picture.save(out, "WEBP", quality=70)
                made.append(Thumbnail(row.sku, row.prompt, out.getvalue()))
        pictures.lost = lost
        return tuple(made)


def write_single(
    path: Path, view: RunView, sections: Sequence[Section], sample: Sequence[Thumbnail], *, digest: str
) -> None:
    """Write the page with as many thumbnails as 3 MB hold: the most doubtful images first, then the drawn sample.

    Args:
        digest: SHA-256 of the run's run.json.
    """
    room = MOST_BYTES - len(_render(path, view, sections, sample, digest, shown=0).encode("utf-8", "replace"))
    costs = [
        *(sum(_cost((path.parent / name).stat().st_size) for name in one.files) for one in view.worst if one.thumbnail),
        *(_cost(len(one.data)) for one in sample),
    ]
    shown = 0
    for cost in costs[:MOST_THUMBNAILS]:
        if cost > room:
            break
        room -= cost
        shown += 1
    write_page(path, _render(path, view, sections, sample, digest, shown=shown))


def _render(
    path: Path, view: RunView, sections: Sequence[Section], sample: Sequence[Thumbnail], digest: str, *, shown: int
) -> str:
    inside = [one for one in view.worst if one.thumbnail][:shown]
    files = [name for one in inside for name in one.files]
    data = {name: _uri((path.parent / name).read_bytes(), name.rpartition(".")[2]) for name in files}
    drawn = sample[: shown - len(inside)]
    left_out = sum(one.thumbnail is not None for one in view.worst) - len(inside) + len(sample) - len(drawn)
    told = ""
    if left_out:
        told = f"{several(left_out, 'thumbnail was', 'thumbnails were')} left out to keep this file below 3 MB."
    tiles = [(one.title, one.prompt, _uri(one.data)) for one in drawn]
    return render_single(view, [_detach(one, data) for one in sections], tiles, told=told, digest=digest)


def _detach(section: Section, data: dict[str, str]) -> Section:
    """Without links out of the page and without what is folded away."""
    blocks: list[Block] = []
    for block in section.blocks:
        if isinstance(block, Band):
            blocks.append(replace(block, tiles=tuple(replace(tile, href=None) for tile in block.tiles)))
        elif isinstance(block, Gallery):
            pictures = tuple(_inside(picture, data) for picture in block.pictures)
            blocks.append(replace(block, pictures=pictures, table=_bare(block.table)))
        elif isinstance(block, Cases):
            blocks.append(Cases(tuple(_case_inside(case, data) for case in block.cases)))
        elif isinstance(block, Figure | Panels):
            blocks.append(replace(block, table=_bare(block.table)))
        elif isinstance(block, Table):
            blocks += [] if block.folded else [_bare(block)]
        elif not (isinstance(block, Code) and block.folded):
            blocks.append(block)
    return replace(section, blocks=tuple(blocks))


def _inside(picture: Picture, data: dict[str, str]) -> Picture:
    return replace(picture, href=None, src=data.get(picture.src or ""))


def _case_inside(case: Case, data: dict[str, str]) -> Case:
    exhibits = tuple(
        replace(one, overlay=data.get(one.overlay or ""), companion=data.get(one.companion or ""))
        for one in case.exhibits
    )
    return Case(_inside(case.picture, data), exhibits)


def _bare(table: Table) -> Table:
    rows = () if table.folded else table.rows
    return replace(table, rows=tuple(tuple(_plain(cell) for cell in row) for row in rows))


def _plain(cell: Cell) -> Cell:
    return cell.text if isinstance(cell, Link) else cell


def _uri(data: bytes, kind: str = "webp") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


def _cost(size: int) -> int:
    """Bytes that a thumbnail adds to the page, its markup included."""
    return -(-size // 3) * 4 + 600
