"""The report as one file."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image

from qcgen.report.single import MOST_BYTES, MOST_THUMBNAILS
from qcgen.report.write import write_report
from tests.report import synthetic


def write(made: synthetic.Synthetic, root: Path, pictures: Sequence[bytes] | None = None) -> str:
    rows = made.rows
    if pictures is not None:
        rows = tuple(replace(row, thumbnail=pictures[n % len(pictures)]) for n, row in enumerate(rows))
    index = write_report(
        made.run, rows, folder=root / "report", images_root=root / "out", formats=("html", "csv"),
        every_attempt=made.everything, single=True,
    )  # fmt: skip
    return index.with_name("single.html").read_text(encoding="utf-8")


def test_it_holds_the_summary_and_at_most_200_thumbnails_and_leads_nowhere(tmp_path: Path) -> None:
    page = write(synthetic.make_synthetic(400), tmp_path)
    assert "CANNOT TELL YET" in page
    assert 100 < page.count("data:image/webp;base64,") <= MOST_THUMBNAILS
    assert len(page.encode()) <= MOST_BYTES
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "left out" not in page


def test_the_same_run_gives_the_same_file_and_its_digest_is_in_the_sums(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(60)
    first = write(made, tmp_path)
    assert write(made, tmp_path) == first
    assert "  single.html\n" in (tmp_path / "report" / "SHA256SUMS").read_text()


def test_thumbnails_that_do_not_fit_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(noise).save(out, "PNG")
    page = write(synthetic.make_synthetic(80, pictures=[b""]), tmp_path, [out.getvalue()])
    size = len(page.encode())
    assert MOST_BYTES - 100_000 < size <= MOST_BYTES
    told = re.search(r"(\d+) thumbnails were left out to keep this file below 3 MB", page)
    assert told is not None
    assert int(told[1]) + page.count("data:image/webp;base64,") > 100


def test_without_the_wish_there_is_no_such_file(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(3)
    index = write_report(
        made.run, made.rows, folder=tmp_path / "r", images_root=tmp_path, formats=("html",), every_attempt=()
    )
    assert not index.with_name("single.html").exists()
