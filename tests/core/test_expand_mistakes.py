"""Mistakes in a table or in rows: all of them at once, each with its line, rule, value and cure."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qcgen.core.errors import SpecError
from qcgen.core.expand import expand
from qcgen.core.sku import sku_problem
from qcgen.core.spec import load_job
from tests.core.jobs import CSV, DIGEST, expand_csv, expand_in, mistakes

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
