"""The index of all runs: appended, never rebuilt, whole after anything."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qcgen.report.runindex import add_to_index
from qcgen.report.write import write_report
from tests.report import synthetic


def report(root: Path, run_id: str, items: int = 3, **changes: object) -> Path:
    made = synthetic.make_synthetic(items, pictures=[b""], run_id=run_id, **changes)
    page = write_report(
        made.run, made.rows, folder=root / run_id, images_root=root, formats=(), every_attempt=made.everything
    )
    return page.parent


def entries(root: Path) -> list[dict[str, object]]:
    head, *lines = (root / "runs.js").read_text().splitlines()
    assert head == "window.qcgenRuns = [];"
    return [json.loads(line.removeprefix("qcgenRuns.push(").removesuffix(");")) for line in lines]


def test_each_report_appends_one_line_and_the_page_stays(tmp_path: Path) -> None:
    page = add_to_index(report(tmp_path, "one"))
    before = page.stat().st_mtime_ns
    add_to_index(report(tmp_path, "two"))
    assert [entry["run_id"] for entry in entries(tmp_path)] == ["one", "two"]
    assert page.stat().st_mtime_ns == before
    assert entries(tmp_path)[0]["answer"] in ("SHIP", "HOLD", "CANNOT TELL YET")


def test_the_same_report_again_adds_nothing_and_a_changed_one_adds_a_line(tmp_path: Path) -> None:
    folder = report(tmp_path, "one")
    add_to_index(folder)
    first = (tmp_path / "runs.js").read_bytes()
    add_to_index(report(tmp_path, "one"))
    assert (tmp_path / "runs.js").read_bytes() == first
    add_to_index(report(tmp_path, "one", items=5))
    assert [entry["planned"] for entry in entries(tmp_path)] == [3, 5]


def test_a_line_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    add_to_index(report(tmp_path, "one"))
    with (tmp_path / "runs.js").open("ab") as file:
        file.write(b'qcgenRuns.push({"run_id":"tw' + b"x" * 70_000)
    add_to_index(report(tmp_path, "three"))
    assert [entry["run_id"] for entry in entries(tmp_path)] == ["one", "three"]


def test_an_empty_file_gets_its_head(tmp_path: Path) -> None:
    (tmp_path / "runs.js").write_bytes(b"window.qcgenRu")
    add_to_index(report(tmp_path, "one"))
    assert len(entries(tmp_path)) == 1


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    add_to_index(report(tmp_path, "one", name="</script>\u2028&<b>\ud800"))
    text = (tmp_path / "runs.js").read_bytes()
    assert not set(b"<>&") & set(text)
    assert text.isascii()


def test_reports_written_at_once_all_get_their_line(tmp_path: Path) -> None:
    folders = [report(tmp_path, f"run-{number:02d}") for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add_to_index, folders))
    assert sorted(str(entry["run_id"]) for entry in entries(tmp_path)) == [folder.name for folder in folders]
