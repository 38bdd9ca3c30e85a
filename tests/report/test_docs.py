"""docs/reports.md says what the code writes."""

import json
import re
from pathlib import Path

import pytest

from qcgen.report.columns import DECISIONS, FLAGS, IMAGES, METRIC, RowTable
from qcgen.report.summary import summarise
from tests.report import synthetic
from tests.report.test_views import see


def section(root: Path, title: str) -> str:
    text = (root / "docs" / "reports.md").read_text(encoding="utf-8")
    return text.split(f"### {title}\n")[1].split("\n#")[0]


@pytest.mark.parametrize("table", [IMAGES, FLAGS, DECISIONS], ids=lambda table: table.name)
def test_every_column_is_documented_with_type_unit_and_meaning(root: Path, table: RowTable) -> None:
    told = section(root, table.name)
    fields = (*table.fields, METRIC) if table.name == "images" else table.fields
    expected = [f"| `{one.name}` | {one.kind} | {one.unit} | {one.meaning} |" for one in fields]
    assert [line for line in told.splitlines() if line.startswith("| `")] == expected
    assert table.row in told.lower()


def test_every_key_of_run_json_is_documented(root: Path) -> None:
    made = synthetic.make_synthetic(5, pictures=[b""])
    keys = json.loads(json.dumps(summarise(see(made.run, made.rows)))).keys()
    told = section(root, "run.json")
    lines = [line.split("|")[1] for line in told.splitlines() if line.startswith("| `")]
    named = [name for line in lines for name in re.findall(r"`(\w+)`", line)]
    assert sorted(named) == sorted(keys)


def test_pictures_are_there_and_small(root: Path) -> None:
    text = (root / "docs" / "reports.md").read_text(encoding="utf-8")
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(names) == 4
    for name in names:
        assert (root / "docs" / name).stat().st_size < 150_000
