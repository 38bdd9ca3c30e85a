"""The report folder as a whole."""

import hashlib
import io
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from qcgen.core.errors import SpecError
from qcgen.core.types import Finding, Outcome, Row, Severity
from qcgen.report.sprites import PER_SHEET, TILE_PX, Pictures, Sheets, image_href
from qcgen.report.write import Beside, write_report
from tests.report import synthetic

SUMMARY_KEYS = {
    "run_id", "status", "planned", "generated", "failed", "accepted", "flagged", "rejected", "retried", "model",
    "model_digest", "spec_sha256", "seconds", "images_per_second", "seconds_by_stage", "report",
}  # fmt: skip


def write(made: synthetic.Synthetic, root: Path, **changes: object) -> Path:
    options = {"formats": ("html", "csv"), **changes}
    folder = root / "reports" / made.run.run_id
    return write_report(
        made.run, made.rows, folder=folder, images_root=root / "out", every_attempt=made.everything, **options
    )  # type: ignore[arg-type]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_holds_the_promised_files_and_the_sums_cover_all_of_them(tmp_path: Path) -> None:
    index = write(synthetic.make_synthetic(250), tmp_path)
    assert index.name == "index.html"
    files = contents(index.parent)
    sums = dict(reversed(line.split("  ")) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    promised = {"index.html", "grid.html", "grid-data.js", "images.csv", "flags.csv", "decisions.csv", "run.json"}
    assert promised < files.keys()
    assert {name for name in files if name.startswith("sprites/")} == {f"sprites/{n:05d}.webp" for n in range(3)}
    assert index.parent.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in index.parent.parent.iterdir()] == [index.parent.name]


def test_summary_has_the_contracts_keys_and_agrees_with_the_rows(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(120)
    kept = json.loads(write(made, tmp_path).with_name("run.json").read_text())
    assert kept.keys() >= SUMMARY_KEYS
    assert kept["generated"] == sum(row.relpath is not None for row in made.rows)
    assert kept["accepted"] == sum(row.outcome is Outcome.ACCEPT for row in made.rows)
    assert kept["attempts"] == len(made.everything)
    assert kept["images_per_second"] == pytest.approx(kept["generated"] / made.run.seconds)


def test_infinite_gate_value_becomes_null_in_the_summary(tmp_path: Path) -> None:
    gates = (Finding("odd", Severity.WARN, "Divided by nothing.", float("inf"), 0.5),)
    kept = json.loads(write(synthetic.make_synthetic(2, gates=gates), tmp_path).with_name("run.json").read_text())
    assert (kept["gates"][0]["value"], kept["gates"][0]["threshold"]) == (None, 0.5)


def test_second_call_replaces_the_first_and_is_the_same_for_the_same_run(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(30)
    first = contents(write(made, tmp_path).parent)
    assert contents(write(made, tmp_path).parent) == first
    smaller = contents(write(replace(made, rows=made.rows[:5], everything=made.everything[:5]), tmp_path).parent)
    assert smaller["images.csv"] != first["images.csv"]


def test_folder_that_is_no_report_is_left_alone(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(1)
    precious = tmp_path / "reports" / made.run.run_id / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(SpecError, match="not a report"):
        write(made, tmp_path)
    assert precious.read_text() == "years of work"


def test_failure_in_the_middle_keeps_the_old_report(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(10)
    before = contents(write(made, tmp_path).parent)

    def broken() -> object:
        yield made.rows[0]
        raise RuntimeError("the store went away")

    with pytest.raises(RuntimeError):
        write(replace(made, rows=broken()), tmp_path)  # type: ignore[arg-type]
    assert contents(tmp_path / "reports" / made.run.run_id) == before
    assert len(list((tmp_path / "reports").iterdir())) == 1


@pytest.mark.parametrize(("formats", "name"), [(("html",), "index.html"), (("csv",), "run.json"), ((), "run.json")])
def test_only_the_asked_formats_are_written(tmp_path: Path, formats: tuple[str, ...], name: str) -> None:
    page = write(synthetic.make_synthetic(3), tmp_path, formats=formats)
    assert page.name == name
    files = contents(page.parent)
    assert ("images.csv" in files) == ("csv" in formats)
    assert ("grid.html" in files) == ("html" in formats)
    if "html" in formats and "csv" not in formats:
        assert b"images.csv" not in re.sub(b"<noscript>.*?</noscript>|<footer>.*?</footer>", b"", files["index.html"])


def test_pages_name_no_outside_address(tmp_path: Path) -> None:
    index = write(synthetic.make_synthetic(40), tmp_path)
    for name in ("index.html", "grid.html", "grid-data.js"):
        text = index.with_name(name).read_text()
        assert re.findall(r"""(?:src|href|url|@import)\s*[=(]?\s*["']?\s*(?:https?:|//)[^\s"']*""", text) == []


def test_report_keeps_no_absolute_path(tmp_path: Path) -> None:
    index = write(synthetic.make_synthetic(20), tmp_path)
    assert all(str(tmp_path).encode() not in data for data in contents(index.parent).values())


def test_thumbnail_is_made_from_the_file_where_the_row_has_none(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(12)
    synthetic.save_images(made.rows, tmp_path / "out")
    bare = replace(made, rows=tuple(replace(row, thumbnail=None) for row in made.rows))
    index = write(bare, tmp_path)
    sheet = PIL.Image.open(index.parent / "sprites" / "00000.webp")
    assert sheet.size == (10 * TILE_PX, 2 * TILE_PX)
    whole = PIL.Image.open(io.BytesIO(made.rows[0].thumbnail)).convert("RGB").resize((TILE_PX, TILE_PX))
    middle = (TILE_PX // 2, TILE_PX // 2)
    difference = max(abs(a - b) for a, b in zip(sheet.getpixel(middle), whole.getpixel(middle), strict=True))
    # Two lossy encodings lie between the two; a wrong tile would be off by more than 100 codes.
    assert difference <= 24


def test_lost_and_damaged_pictures_are_counted_and_do_not_stop_the_report(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(6, seed=3)
    rows = [replace(row, thumbnail=None if n % 2 else b"no picture", reasons=()) for n, row in enumerate(made.rows)]
    page = write(replace(made, rows=tuple(rows)), tmp_path).read_text()
    assert "could not be read for a thumbnail" in page


@pytest.mark.parametrize("relpath", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_path_outside_the_images_folder_is_neither_read_nor_linked(tmp_path: Path, relpath: str) -> None:
    (tmp_path / "out").mkdir()
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    row = replace(next(synthetic.make_rows(1)), relpath=relpath, thumbnail=None)
    pictures = Pictures(tmp_path / "out")
    assert pictures.thumbnail(row) is None
    assert pictures.lost == 1
    assert image_href("../out", relpath) is None


def test_huge_picture_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    PIL.Image.new("1", (8000, 8000)).save(tmp_path / "out" / "bomb.png")
    row = replace(next(synthetic.make_rows(1)), relpath="bomb.png", thumbnail=None)
    assert Pictures(tmp_path / "out").thumbnail(row) is None


def test_links_to_full_pictures_lead_from_the_report_to_the_files(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(60)
    synthetic.save_images(made.rows, tmp_path / "out", size=32)
    index = write(made, tmp_path)
    links = re.findall(r'<a class="pic" href="([^"]+)"', index.read_text())
    assert len(links) == 50
    assert all((index.parent / link).is_file() for link in links)


def test_history_is_read_from_earlier_reports_and_a_missing_one_stays_a_gap(tmp_path: Path) -> None:
    runs = [
        synthetic.make_synthetic(50, seed=day, run_id=f"night{day}", started_at=f"2026-11-0{day}T01:00:00Z")
        for day in range(1, 5)
    ]
    written = [write(made, tmp_path).parent for made in runs[:3]]
    for path in (*written[1].rglob("*.*"),):
        path.unlink()
    index = write(runs[3], tmp_path, beside=Beside([made.run for made in reversed(runs)]))
    table = (index.parent / "tables" / "history_nights.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in table[1:]] == ["night4", "night3", "night2", "night1"]
    assert [line.split(",")[3] != "" for line in table[1:]] == [True, True, False, True]


def test_large_run_is_packed_in_columns(tmp_path: Path) -> None:
    """A hundred rows a sheet, and a data file that grows by less than 400 bytes a row, prompts and ids included."""
    pictures = synthetic.thumbnails(20)
    made = synthetic.make_synthetic(5000, pictures=pictures)
    index = write(made, tmp_path, formats=("html",))
    assert len(list((index.parent / "sprites").iterdir())) == 5000 // PER_SHEET
    assert (index.parent / "grid-data.js").stat().st_size < 400 * 5000
    # The page itself must not grow with the run: 400 kB is the design's budget.
    assert index.stat().st_size < 400_000


def test_memory_of_a_report_grows_by_columns_and_not_by_whole_rows(tmp_path: Path) -> None:
    """Rows that were kept would take 7 kB each with a thumbnail as large as these."""
    thumbnail = synthetic.thumbnails(1)[0] + bytes(6_000)

    def peak(items: int) -> int:
        def rows(*, current: bool) -> Iterator[Row]:
            for row in synthetic.make_rows(items, pictures=[b""]):
                if row.current or not current:
                    yield replace(row, thumbnail=None if row.thumbnail is None else bytes(bytearray(thumbnail)))

        folder = tmp_path / f"report-{items}"
        run = synthetic.make_run(items)
        tracemalloc.start()
        write_report(
            run, rows(current=True), folder=folder, images_root=tmp_path, formats=("html", "csv"),
            every_attempt=rows(current=False),
        )  # fmt: skip
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(50)  # what is loaded and cached once
    a_row = (peak(1500) - peak(500)) / 1000
    # The grid's columns and its script, three times over while it is quoted: 1.25 kB measured.
    assert a_row < 2_500


class LateExecutor(Executor):
    """Does its work when somebody asks for it, and remembers how much of it waited at most."""

    def __init__(self) -> None:
        self.waiting = self.most = 0

    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> Future[object]:  # type: ignore[override]
        executor = self
        self.waiting += 1
        self.most = max(self.most, self.waiting)

        class Late(Future[object]):
            def result(self, timeout: float | None = None) -> object:
                executor.waiting -= 1
                return fn(*args, **kwargs)

        return Late()


def test_sheets_wait_for_the_encoder_one_at_a_time(tmp_path: Path) -> None:
    encoder = LateExecutor()
    sheets = Sheets(tmp_path, encoder)
    for place in range(3 * PER_SHEET + 1):
        sheets.add(PIL.Image.new("RGB", (8, 8), (place % 256, 0, 0)))
    sheets.close()
    assert encoder.most == 1
    assert encoder.waiting == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n:05d}.webp" for n in range(4)]


def test_a_sheet_that_cannot_be_written_ends_the_report(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as encoder:
        sheets = Sheets(tmp_path / "missing", encoder)
        sheets.add(PIL.Image.new("RGB", (8, 8)))
        with pytest.raises(FileNotFoundError):
            sheets.close()


def test_the_run_before_lies_as_an_outline_under_the_histograms(tmp_path: Path) -> None:
    first = synthetic.make_synthetic(50, seed=1, run_id="night1", started_at="2026-11-01T01:00:00Z")
    second = synthetic.make_synthetic(50, seed=2, run_id="night2", started_at="2026-11-02T01:00:00Z")
    assert 'class="ghost"' not in write(first, tmp_path, beside=Beside([second.run])).read_text()
    page = write(second, tmp_path, beside=Beside([first.run])).read_text()
    assert page.count('class="ghost"') == len(synthetic.DETECTORS)


def test_a_delivery_with_sums_of_its_own_is_not_replaced(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(1)
    folder = tmp_path / "reports" / made.run.run_id
    folder.mkdir(parents=True)
    (folder / "SHA256SUMS").write_text("")
    (folder / "manifest.csv").write_text("")
    with pytest.raises(SpecError, match="not a report"):
        write(made, tmp_path)


def test_a_job_with_all_its_rows_inside_does_not_swell_the_page(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(3)
    spec = json.dumps({"items": {"rows": [{"sku": f"S{n}", "colour": "red"} for n in range(20_000)]}})
    index = write(replace(made, run=replace(made.run, spec_json=spec)), tmp_path)
    assert index.stat().st_size < 150_000
    assert "more characters: see the job file" in index.read_text()
