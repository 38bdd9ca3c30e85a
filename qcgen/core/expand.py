"""From a job to its items: pure, and index-addressable, so that the same job always means the same pictures."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qcgen.core.job import ItemsSpec, JobSpec
from qcgen.core.prompt import Template, parse_template
from qcgen.core.seeds import MAX_ITEMS, item_seed
from qcgen.core.sources import SKU, Source, TableSource, make_matrix
from qcgen.core.tablecheck import check_matrix, check_table
from qcgen.core.tables import Table, check_header, read_table
from qcgen.core.types import Item, Shard
from qcgen.core.wording import Problems, file_name, plain, several, show
from qcgen.core.yamlpos import Document, Place, read_yaml

MOST_CLASSES = 256


@dataclass(frozen=True, slots=True)
class Expansion:
    """A job's items. Holds columns, not items; `item` is O(1) and depends on its arguments alone.

    Attributes:
        source: the rows.
        template: the prompt.
        images_per_item: copies of each row; item index = row * images_per_item + copy.
        seed: the job's `items.seed`.
        size_px: side of the pictures.
        model_digest: pins the model.
        skipped: repeated rows left out by `duplicates: skip`.
        digest: hash over everything that defines all items; equal digests mean equal items, in equal order.
        vocabulary: for each column, its values in order of appearance; columns with more than 256 are left out.
    """

    source: Source
    template: Template
    images_per_item: int
    seed: int
    size_px: int
    model_digest: str
    skipped: int
    digest: str
    vocabulary: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return self.source.rows * self.images_per_item

    def item(self, index: int, attempt: int = 1) -> Item:
        """The item at a place, 0-based; a later attempt differs in seed and id alone.

        Raises:
            IndexError: no such place.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        row = index // self.images_per_item
        fields = self.source.row(row)
        prompt = self.template.render(fields)
        seed = item_seed(self.seed, index, attempt)
        identity = dict(attempt=attempt, model=self.model_digest, prompt=prompt, seed=seed, size=self.size_px)  # noqa: C408
        return Item(
            index=index,
            id=hashlib.blake2b(_canonical(identity), digest_size=16).hexdigest(),
            sku=self.source.sku(row),
            prompt=prompt,
            fields=fields,
            seed=seed,
            size_px=self.size_px,
            attempt=attempt,
        )

    def shards(self, size: int) -> list[Shard]:
        """Contiguous ranges of `size` items, the last one shorter."""
        starts = range(0, len(self), size)
        return [Shard(number, start, min(start + size, len(self))) for number, start in enumerate(starts)]

    def prompts(self) -> tuple[str, ...]:
        """The different prompts, in order of appearance."""
        columns = self.template.used()
        rows = (dict(zip(columns, cells, strict=True)) for cells in self.source.combinations(columns))
        return tuple(dict.fromkeys(map(self.template.render, rows)))


def expand(job: JobSpec, job_path: Path, *, model_digest: str, size_px: int) -> Expansion:
    """Read and check the items of a job. A relative `items.table` starts at the job file's folder.

    Raises:
        SpecError: with every mistake in the template and the rows.
        PrerequisiteError: a Parquet table and no pyarrow.
    """
    items, problems = job.items, Problems()
    where = _Where(job_path)
    template = parse_template(items.prompt, partial(_report_template, where, problems))
    source, skipped = _open_source(items, job_path, template, where, problems)
    problems.stop_if_any()
    assert source is not None
    count = source.rows * items.images_per_item
    if count > MAX_ITEMS:
        got = f"got {several(source.rows, 'row')} of {several(items.images_per_item, 'image')}"
        problems.add("size", f"{where(('items',))} must give at most {MAX_ITEMS:,} images ({got}). Split the job.")
    problems.stop_if_any()
    return Expansion(
        source=source,
        template=template,
        images_per_item=items.images_per_item,
        seed=items.seed,
        size_px=size_px,
        model_digest=model_digest,
        skipped=skipped,
        digest=_digest(items, source, model_digest, size_px),
        vocabulary=_vocabulary(source),
    )


def describe_changes(old_json: str, new_json: str) -> list[str]:
    """What differs between two canonical specs, one field a line: `items.seed: 1 -> 2`; empty if nothing does."""
    return _changes("", json.loads(old_json), json.loads(new_json))


class _Where:
    """`job.yaml:7 items.prompt:`; reads the job file again, and only once there is a mistake to place."""

    def __init__(self, job_path: Path) -> None:
        self._path = job_path
        self._document: Document | None = None

    def __call__(self, place: Place) -> str:
        if self._document is None:
            known = self._path.is_file()
            self._document = read_yaml(self._path) if known else Document(file_name(self._path), {}, {})
        return self._document.where(place) + ":"

    def line(self, place: Place) -> int:
        self(place)
        assert self._document is not None
        return self._document.line(place)


def _open_source(
    items: ItemsSpec, job_path: Path, template: Template, where: _Where, problems: Problems
) -> tuple[Source | None, int]:
    report = partial(_report_template, where, problems)
    if items.matrix is not None:
        check_matrix(items.matrix, template, lambda *axis: where(("items", "matrix", *axis)), report, problems)
        return make_matrix(items.matrix), 0
    if items.table is not None:
        table = read_table(job_path.parent / items.table, problems)
    else:
        table = _inline(items, job_path, where, problems)
    if table is None:
        return None, 0
    kept = check_table(table, template, items.duplicates, report, problems)
    return TableSource(kept), len(table) - len(kept)


def _report_template(where: _Where, problems: Problems, text: str) -> None:
    problems.add("template", f"{where(('items', 'prompt'))} {text}")


def _inline(items: ItemsSpec, job_path: Path, where: _Where, problems: Problems) -> Table | None:
    """`items.rows` as a table; a key that a row lacks is an empty cell."""
    rows = items.rows or ()
    names = list(dict.fromkeys(key for row in rows for key in row))
    if rows and not check_header(names, file_name(job_path), problems):
        return None
    columns = {name: [row.get(name, "").strip(" \t") for row in rows] for name in names}
    known = job_path.is_file()
    lines = [where.line(("items", "rows", number)) if known else number + 1 for number in range(len(rows))]
    return Table(file_name(job_path), columns or {SKU: []}, lines, "line" if known else "row")


def _digest(items: ItemsSpec, source: Source, model_digest: str, size_px: int) -> str:
    identity = {
        "copies": items.images_per_item,
        "model": model_digest,
        "prompt": items.prompt,
        "rows": source.digest(),
        "seed": items.seed,
        "size": size_px,
    }
    return hashlib.sha256(_canonical(identity)).hexdigest()


def _vocabulary(source: Source) -> Mapping[str, tuple[str, ...]]:
    values = {column: source.distinct(column) for column in source.columns if column != SKU}
    return {column: tuple(filter(None, texts)) for column, texts in values.items() if len(texts) <= MOST_CLASSES}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _changes(path: str, old: object, new: object) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in {**old, **new}:
            lines += _changes(f"{path}.{key}" if path else key, old.get(key), new.get(key))
        if not lines and list(old) != list(new):
            lines = [f"{path}: order {', '.join(map(plain, old))} -> {', '.join(map(plain, new))}"]
        return lines
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for number, pair in pairs for line in _changes(f"{path}[{number}]", *pair)]
    return [] if old == new and type(old) is type(new) else [f"{plain(path)}: {show(old)} -> {show(new)}"]
