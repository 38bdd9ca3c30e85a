"""Expansion: pure, index-addressable, small; every mistake in a table at once."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcgen.core.errors import PrerequisiteError
from qcgen.core.expand import expand
from qcgen.core.sku import sku_problem
from tests.core.jobs import CSV, DIGEST, expand_csv, expand_in, make_job, mistakes


def test_items_of_a_table_follow_its_rows(tmp_path: Path) -> None:
    expansion = expand_csv(tmp_path, CSV, images_per_item=2, seed=5)
    assert len(expansion) == 6
    item = expansion.item(3)
    assert (item.sku, item.prompt, item.index, item.size_px) == ("A2", "a photo of a blue shirt", 3, 128)
    assert item.fields == {"sku": "A2", "product": "shirt", "colour": "blue"}
    assert expansion.prompts() == ("a photo of a red dress", "a photo of a blue shirt")
    assert expansion.vocabulary == {"product": ("dress", "shirt"), "colour": ("red", "blue")}
    with pytest.raises(IndexError):
        expansion.item(6)


def test_item_ids_are_the_recorded_ones(tmp_path: Path) -> None:
    # Stored runs are resumed by these ids: a change is a change of every job's identity.
    expansion = expand_csv(tmp_path, CSV, seed=5)
    assert expansion.item(0).id == "0a11bc4025fb72898af362e1edcb7679"
    assert expansion.item(0, attempt=2).id == "249626e54652138d3d992d211cf70808"
    assert expansion.digest == "d2a616dad3c9692c2d5dbbfdd33558611651984494fbd0dbf135cecc7ec278d6"


def test_csv_parquet_and_inline_rows_mean_the_same_items(tmp_path: Path) -> None:
    columns = {"sku": ["A1", "A2", "A3"], "product": ["dress", "shirt", "dress"], "colour": ["red", "blue", "red"]}
    pq.write_table(pa.table(columns), tmp_path / "items.parquet")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    digests = {
        expand_csv(tmp_path, CSV).digest,
        expand_csv(tmp_path, "\ufeff" + CSV.replace("\n", "\r\n") + "\r\n").digest,
        expand_in(tmp_path, table="items.parquet").digest,
        expand_in(tmp_path, rows=rows).digest,
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"images_per_item": 2},
        {"prompt": "one {product} in {colour}"},
        {"text": CSV.replace("blue", "green")},
        {"text": CSV.replace("A3", "A4")},
    ],
)
def test_the_digest_covers_whatever_changes_an_item(tmp_path: Path, changed: dict[str, object]) -> None:
    text = str(changed.pop("text", CSV))
    assert expand_csv(tmp_path, text, **changed).digest != expand_csv(tmp_path, CSV).digest


def test_the_digest_covers_model_and_size(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(CSV, encoding="utf-8")
    job, path = make_job(table="items.csv"), tmp_path / "job.yaml"
    pairs = ((DIGEST, 128), (DIGEST, 256), ("e" * 64, 128))
    made = [expand(job, path, model_digest=digest, size_px=size) for digest, size in pairs]
    assert len({expansion.digest for expansion in made}) == len({expansion.item(0).id for expansion in made}) == 3


def test_numbers_and_gaps_in_parquet_become_text(tmp_path: Path) -> None:
    table = pa.table({"sku": [7.0, 8.0], "product": ["dress", "hat"], "colour": ["red", "red"], "note": [None, 1.5]})
    pq.write_table(table, tmp_path / "items.parquet")
    expansion = expand_in(tmp_path, table="items.parquet")
    assert [dict(expansion.item(i).fields)["sku"] for i in range(2)] == ["7", "8"]
    assert [expansion.item(i).fields["note"] for i in range(2)] == ["", "1.5"]


def test_parquet_without_pyarrow_names_the_cure(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    code = (
        "import sys, pathlib; sys.modules['pyarrow'] = None\n"
        "from qcgen.core.tables import read_table\n"
        "from qcgen.core.wording import Problems\n"
        f"try: read_table(pathlib.Path({str(tmp_path / 't.parquet')!r}), Problems())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert PrerequisiteError.__name__ in done.stdout
    assert "pip install pyarrow" in done.stdout


def test_planning_imports_neither_pandas_nor_pyarrow(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(CSV, encoding="utf-8")
    code = (
        "import sys, pathlib\n"
        "from qcgen.core.tables import read_table\n"
        "from qcgen.core.expand import expand\n"
        "from qcgen.core.wording import Problems\n"
        f"assert read_table(pathlib.Path({str(tmp_path / 'items.csv')!r}), Problems())\n"
        "print(sorted({'pandas', 'pyarrow', 'torch', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("prompt", "rendered"),
    [
        ("{{{product}}}", "{dress}"),
        ("100 % {{x}} {product}", "100 % {x} dress"),
        ("no field", "no field"),
        ("{product}{product}", "dressdress"),
    ],
)
def test_braces_are_escaped_by_doubling(tmp_path: Path, prompt: str, rendered: str) -> None:
    assert expand_csv(tmp_path, CSV, prompt=prompt).item(0).prompt == rendered


@pytest.mark.parametrize(
    "prompt", ["{product.__class__}", "{product[0]}", "{product!r}", "{product:>9}", "{0}", "{}", "{", "a}", "{f()}"]
)
def test_templates_can_only_name_columns(tmp_path: Path, prompt: str) -> None:
    found = mistakes(tmp_path, CSV, prompt=prompt)
    assert all(line.startswith("job.yaml:1 items.prompt: ") for line in found)


def test_braces_in_cells_are_text(tmp_path: Path) -> None:
    text = "sku,product,colour\nA,{colour},{product.__class__}\n"
    assert expand_csv(tmp_path, text).item(0).prompt == "a photo of a {product.__class__} {colour}"


@settings(deadline=None)  # other processes may hold the machine
@given(st.text(max_size=120))
def test_no_accepted_name_leaves_its_folder(sku: str) -> None:
    if sku_problem(sku) is None:
        root = Path("/srv/images")
        target = (root / sku / "0.png").resolve()
        assert target.parent.parent == root
        assert sku.isprintable()
        assert len(sku) <= 100


words = st.text("abc XYZ-_é", min_size=1, max_size=6).filter(str.strip)


@settings(deadline=None)  # other processes may hold the machine
@given(st.lists(words, min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 2**32 - 1), st.randoms())
def test_expansion_is_pure_and_addressable_in_any_order(
    values: list[str], copies: int, seed: int, random: "st.random.Random"
) -> None:
    rows = [{"sku": f"S{number}", "product": value, "colour": "red"} for number, value in enumerate(values)]
    job = make_job(rows=rows, images_per_item=copies, seed=seed)
    first, second = (expand(job, Path("none.yaml"), model_digest=DIGEST, size_px=8) for _ in range(2))
    order = list(range(len(first)))
    random.shuffle(order)
    shuffled = {index: second.item(index) for index in order}
    assert [first.item(index) for index in range(len(first))] == [shuffled[index] for index in range(len(first))]
    assert first.digest == second.digest
    assert {item.prompt for item in shuffled.values()} == set(first.prompts())
    again = first.item(0, attempt=2)
    assert again.seed not in {item.seed for item in shuffled.values()}
    assert again.id != first.item(0).id


@settings(deadline=None)  # other processes may hold the machine
@given(st.integers(1, 500), st.integers(1, 70))
def test_shards_cover_every_item_once(rows: int, size: int) -> None:
    job = make_job(matrix={"product": [f"p{n}" for n in range(rows)], "colour": ["red"]})
    shards = expand(job, Path("none.yaml"), model_digest=DIGEST, size_px=8).shards(size)
    assert [index for shard in shards for index in range(shard.start, shard.stop)] == list(range(rows))
    assert [shard.number for shard in shards] == list(range(len(shards)))


def test_a_hundred_thousand_rows_are_planned_in_little_memory(tmp_path: Path) -> None:
    lines = (f"SKU-{n:07d},product {n % 170},colour {n % 14},number {n} of a long catalogue" for n in range(100_000))
    (tmp_path / "items.csv").write_text("sku,product,colour,note\n" + "\n".join(lines) + "\n", encoding="utf-8")
    job = make_job(table="items.csv")
    tracemalloc.start()
    expansion = expand(job, tmp_path / "job.yaml", model_digest=DIGEST, size_px=512)
    assert len(expansion.prompts()) == 1190
    peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert len(expansion.shards(64)) == 1563
    # 92 MiB as measured, 300 promised.
    assert peak_mib <= 150
