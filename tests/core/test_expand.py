"""Expansion: pure, index-addressable, small; every mistake in a table at once."""

import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.expand import Expansion, expand
from qcgen.core.job import JobSpec
from qcgen.core.sku import sku_problem
from qcgen.core.spec import load_job

DIGEST = "d" * 64
PROMPT = "a photo of a {colour} {product}"
CSV = "sku,product,colour\nA1,dress,red\nA2,shirt,blue\nA3,dress,red\n"


def make_job(**items: object) -> JobSpec:
    items.setdefault("prompt", PROMPT)
    return JobSpec.model_validate(
        {"version": 1, "name": "j", "model": "m", "purpose": "research", "items": items, "output": {"dir": "out"}}
    )


def expand_in(folder: Path, **items: object) -> Expansion:
    return expand(make_job(**items), folder / "job.yaml", model_digest=DIGEST, size_px=128)


def expand_csv(folder: Path, text: str | bytes, **items: object) -> Expansion:
    data = text.encode() if isinstance(text, str) else text
    (folder / "items.csv").write_bytes(data)
    return expand_in(folder, table="items.csv", **items)


def mistakes(folder: Path, text: str | bytes, **items: object) -> list[str]:
    before = {path.name for path in folder.iterdir()} | {"items.csv"}
    with pytest.raises(SpecError) as caught:
        expand_csv(folder, text, **items)
    assert {path.name for path in folder.iterdir()} == before, "something was written"
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


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


HOSTILE = [
    "../../x",
    "x" * 300,
    "a\x07b",
    "CON",
    "",
    "nul.txt",
    "a/b",
    "a\\b",
    ".hidden",
    "a\u202eb",
    "com1",
    "a:b",
    ".",
]


def test_every_hostile_name_is_listed_with_its_line_and_escaped(tmp_path: Path) -> None:
    rows = "".join(f'"{sku}",dress,red\n' for sku in HOSTILE)
    found = mistakes(tmp_path, "sku,product,colour\n" + rows)
    assert len(found) == len(HOSTILE)
    for line, (sku, message) in enumerate(zip(HOSTILE, found, strict=True), start=2):
        assert message.startswith(f"items.csv:{line} sku: "), message
        assert message.isprintable()
        assert len(message) < 200
        assert "got" in message
        assert sku_problem(sku)


def test_all_kinds_of_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    text = "sku,product,colour\nA1,dress,red\nA1,shirt,blue\nA2,,red\nA3,hat\nCON,dress,red\n"
    found = mistakes(tmp_path, text, prompt="{colour} {prodct} {product} {x.y} {0:>9} {} }")
    assert [line.partition(": ")[0] for line in found] == [
        *["job.yaml:1 items.prompt"] * 5,
        "items.csv:5",
        "items.csv:4 product",
        "items.csv:6 sku",
        "items.csv:3 sku",
    ]
    assert any(
        "{prodct} is not a column of the items (columns: sku, product, colour). Did you mean product?" in x
        for x in found
    )
    assert any("is already on line 2 (got 'A1')" in line for line in found)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "items.csv: is empty."),
        ("sku,product,colour\n", "items.csv: has no rows, so there is nothing to make. Add rows."),
        ("sku;product;colour\nA;b;c\n", "items.csv:1: columns must be separated by commas (got ';')."),
        ("name,product,colour\nA,b,c\n", "items.csv:1 sku: the column is missing (columns: name, product, colour)."),
        ("sku,product,product\nA,b,c\n", "items.csv:1 product: is the name of two columns."),
        ("sku,product,\nA,b,c\n", "items.csv:1: column 3 needs a printable name without braces (got '')."),
        ("sku,pro{d}uct,colour\nA,b,c\n", "items.csv:1: column 2 needs a printable name without braces"),
        (b"sku,product,colour\nA,robe,\xe9cru\n", "items.csv:2: must be text in UTF-8 (got byte 0xe9)."),
        (CSV.encode("utf-16"), "items.csv:1: must be text in UTF-8 (got UTF-16)."),
        (b"PK\x03\x04\x00\x00", "items.csv:1: must be text (got a NUL byte: a binary file?)."),
        (b"sku,product,colour\nA,b\x00,c\n", "items.csv:2: must be text (got a NUL byte: a binary file?)."),
        ('sku,product,colour\nA,"b,c\n', "items.csv:2: is not valid CSV"),
        ("sku,product,colour\nA,b,c,d\n", "items.csv:2: must have 3 cells like the header (got 4)."),
        ('sku,product,colour\nA,"b\nb",c\n', "items.csv:2 product: must not contain line breaks or control characters"),
        (
            "sku,product,colour\nA," + "b" * 2001 + ",c\n",
            "items.csv:2 prompt: its prompt must have at most 2000 characters",
        ),
        ("x" * 1_000_001, "items.csv:1: lines must be shorter than 1,000,000 bytes."),
        ("sku,product,colour\na1,b,c\nA1,b,c\n", "items.csv:3 sku: is already on line 2 as 'a1' (got 'A1')."),
    ],
)
def test_a_table_mistake_has_line_rule_value_and_cure(tmp_path: Path, data: str | bytes, message: str) -> None:
    found = mistakes(tmp_path, data)
    assert any(line.startswith(message) for line in found), found


def test_a_line_number_counts_lines_not_rows(tmp_path: Path) -> None:
    text = 'sku,product,colour,note\nA1,dress,red,"two\nlines"\n\nA2,,red,x\n'
    assert mistakes(tmp_path, text)[0].startswith("items.csv:5 product: is empty")


def test_a_missing_table_a_folder_and_a_strange_ending_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    for name, words in (
        ("none.csv", "no such file"),
        ("folder.csv", "cannot be read"),
        ("a.xlsx", "must be a .csv or .parquet file"),
        ("bad.parquet", "is not a readable Parquet file"),
    ):
        with pytest.raises(SpecError, match=words):
            expand_in(tmp_path, table=name)


def test_nested_parquet_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sku": ["a"], "product": [["x"]], "colour": ["c"]}), tmp_path / "t.parquet")
    with pytest.raises(SpecError, match=r"got lists, groups or bytes in product"):
        expand_in(tmp_path, table="t.parquet")


def test_repeated_rows_are_an_error_skipped_or_kept(tmp_path: Path) -> None:
    text = CSV + "A1,hat,green\n"
    assert len(mistakes(tmp_path, text)) == 1
    skipped = expand_csv(tmp_path, text, duplicates="skip")
    assert (len(skipped), skipped.skipped, skipped.item(0).prompt) == (3, 1, "a photo of a red dress")
    kept = expand_csv(tmp_path, text, duplicates="keep")
    assert (len(kept), kept.skipped) == (4, 0)
    assert len({kept.item(index).id for index in range(4)}) == 4


def test_a_hundred_thousand_bad_rows_stay_readable(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "sku,product,colour\n" + "CON,,red\n" * 1000)
    assert len(found) == 3 * 21
    assert "... and 980 more: unsafe names." in found


def test_mistakes_in_inline_rows_carry_the_job_files_line(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(
        "version: 1\nname: j\nmodel: m\npurpose: research\noutput: {dir: o}\nitems:\n  prompt: '{colour} {size}'\n"
        "  rows:\n    - {sku: A, colour: red}\n    - {sku: ../B, colour: ''}\n    - {colour: red}\n",
        encoding="utf-8",
    )
    with pytest.raises(SpecError) as caught:
        expand(load_job(path), path, model_digest=DIGEST, size_px=8)
    starts = [problem.removeprefix(f"{path}:").partition(": ")[0] for problem in caught.value.problems]
    assert starts == ["7 items.prompt", "10 colour", "10 sku", "11 sku"]


def test_zero_inline_rows_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no rows"):
        expand_in(tmp_path, rows=[])


def test_a_matrix_is_addressed_by_mixed_radix(tmp_path: Path) -> None:
    expansion = expand_in(
        tmp_path, matrix={"product": ["dress", "t-shirt"], "colour": ["red", "blue", "Off White"]}, images_per_item=2
    )
    items = [expansion.item(index) for index in range(len(expansion))]
    # Both axes have hyphens, so two hyphens join them.
    assert [item.sku for item in items[::2]] == [
        "dress--red",
        "dress--blue",
        "dress--off-white",
        "t-shirt--red",
        "t-shirt--blue",
        "t-shirt--off-white",
    ]
    assert [item.prompt for item in items[8:10]] == ["a photo of a blue t-shirt"] * 2
    assert len({item.seed for item in items}) == 12
    assert len(expansion.prompts()) == 6


def test_matrix_names_never_fall_together(tmp_path: Path) -> None:
    expansion = expand_in(tmp_path, matrix={"product": ["a-b", "a"], "colour": ["c", "b-c"]})
    assert len({expansion.item(index).sku for index in range(4)}) == 4


def test_matrix_names_of_other_scripts_are_safe(tmp_path: Path) -> None:
    expansion = expand_in(tmp_path, matrix={"product": ["платье", "рубашка"], "colour": ["красный"]})
    names = [expansion.item(index).sku for index in range(2)]
    assert len(set(names)) == 2
    assert not any(map(sku_problem, names))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ({}, "has no axes"),
        ({"product": [], "colour": ["red"]}, "items.matrix.product: has no values"),
        (
            {"product": ["Dress", "dress"], "colour": ["red"]},
            "values that give the same name (got 'Dress' and 'dress')",
        ),
        ({"product": ["a\x07"], "colour": ["red"]}, "must not contain control characters"),
        ({"product": [" "], "colour": ["red"]}, "has an empty value"),
        (
            {"product": ["a"], "color": ["red"]},
            "{colour} is not a column of the items (columns: product, color). Did you mean color?",
        ),
        ({"product": ["a"], "colour": ["red"], "sku": ["../x"]}, "items.matrix.sku: must not contain /"),
        ({"product": ["a" * 2000], "colour": ["red"]}, "prompts must have at most 2000 characters"),
    ],
)
def test_a_matrix_mistake_is_told(tmp_path: Path, matrix: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        expand_in(tmp_path, matrix=matrix)
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


def test_a_job_larger_than_the_seeds_is_refused(tmp_path: Path) -> None:
    digits = [str(digit) for digit in range(65)]
    with pytest.raises(SpecError, match="at most 268,435,456 images"):
        expand_in(tmp_path, matrix={"product": digits, "colour": digits, "view": digits}, images_per_item=1000)


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


def test_a_hundred_thousand_rows_are_planned_in_time_and_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (f"SKU-{n:07d},product {n % 170},colour {n % 14},number {n} of a long catalogue" for n in range(100_000))
    (tmp_path / "items.csv").write_text("sku,product,colour,note\n" + "\n".join(lines) + "\n", encoding="utf-8")
    job = make_job(table="items.csv")
    started = time.process_time()  # of the processor: a busy machine is not our slowness
    expansion = expand(job, tmp_path / "job.yaml", model_digest=DIGEST, size_px=512)
    assert len(expansion.prompts()) == 1190
    assert len(expansion.shards(64)) == 1563
    seconds = time.process_time() - started
    del expansion
    tracemalloc.start()
    expansion = expand(job, tmp_path / "job.yaml", model_digest=DIGEST, size_px=512)
    expansion.prompts()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with capsys.disabled():
        print(
            f"\n100,000 rows: {seconds:.2f} s, peak {peak:.0f} MiB traced, {rss:.0f} MiB resident with the test runner"
        )
    assert seconds <= 5
    assert peak <= 300
