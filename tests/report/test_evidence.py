"""How a report shows evidence: beside the numbers, escaped, with copies of its own, and whole where files are gone."""

import hashlib
from dataclasses import replace
from pathlib import Path

import PIL.Image

from qcgen.core.evidence import (
    EVIDENCE,
    Bar,
    Box,
    Curve,
    Line,
    Record,
    Scale,
    Shown,
    Swatch,
    evidence_file,
    evidence_key,
    write_record,
)
from qcgen.core.types import Finding, Outcome, Row, Severity
from qcgen.report.evidence import exhibits, find_overlays
from qcgen.report.write import Beside, write_report
from tests.report import synthetic
from tests.report.pagecheck import PageChecker

HOSTILE = "<script>alert(1)</script>\"'&"


def _shown(image_id: str) -> tuple[Shown, ...]:
    curve = Curve((0.0, 1.0, 2.0), (Line(HOSTILE, (1.0, 3.0, 2.0)),), f"x {HOSTILE}", "y, codes", marks=(1.0,))
    return (
        Shown("blur", "blur 0.61", 0.61, 0.43, "ratio", f"Marked: {HOSTILE}.", Scale(0.4, 0.9, "ratio"),
              f"{image_id}-blur.png", None, curve, (), (Box(0, 0, 1, 1, HOSTILE),)),
        Shown("garment_margin", "garment_margin -0.3", -0.3, 0.0, "cosine difference", "The nearest.",
              bars=(Bar(HOSTILE, 0.5), Bar("hat", -0.1, True)), swatches=(Swatch(HOSTILE, "#aa0011"),)),
    )  # fmt: skip


def _flagged(root: Path) -> tuple[synthetic.Synthetic, Row]:
    """A run whose third picture is flagged, with its evidence on the disk."""
    made = synthetic.make_synthetic(6)
    synthetic.save_images(made.rows, root / "out", size=64)
    finding = Finding("blur", Severity.WARN, "blur 0.61 ratio: above the limit 0.43.", 0.61, 0.43)
    image_id = hashlib.md5(b"third", usedforsecurity=False).hexdigest()
    row = replace(made.rows[2], image_id=image_id, outcome=Outcome.REVIEW, reasons=(finding,))
    path = evidence_file(root / "out", image_id)
    path.parent.mkdir()
    PIL.Image.new("RGBA", (64, 64), (255, 0, 0, 120)).save(path.with_name(f"{image_id}-blur.png"))
    path.write_text(write_record(Record(image_id, evidence_key(row.file_sha256, row.reasons), _shown(image_id))))
    rows = [*made.rows[:2], row, *made.rows[3:]]
    return replace(made, rows=rows, everything=rows), row


def _write(made: synthetic.Synthetic, root: Path, *, single: bool = False) -> Path:
    return write_report(
        made.run, made.rows, folder=root / "reports" / "one", images_root=root / "out", formats=("html",),
        every_attempt=made.everything, beside=Beside(overlays=find_overlays(root / "out")), single=single,
    )  # fmt: skip


def test_a_flagged_picture_shows_map_number_limit_and_unit(tmp_path: Path) -> None:
    made, row = _flagged(tmp_path)
    page = _write(made, tmp_path)
    text = page.read_text()
    checker = PageChecker()
    checker.feed(text)
    assert checker.open == []
    assert checker.ids
    assert "0.61 ratio, limit 0.43" in text
    assert f'class="map" src="worst/{row.image_id}-blur.png"' in text
    assert (page.parent / "worst" / f"{row.image_id}-blur.png").is_file()
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 4
    assert f"{EVIDENCE}/{row.image_id}-blur.png" in (page.parent / "grid-data.js").read_text()


def test_a_report_stays_whole_where_maps_or_records_are_gone(tmp_path: Path) -> None:
    made, row = _flagged(tmp_path)
    (tmp_path / "out" / EVIDENCE / f"{row.image_id}-blur.png").unlink()
    text = _write(made, tmp_path).read_text()
    assert "0.61 ratio, limit 0.43" in text
    assert 'class="map"' not in text
    evidence_file(tmp_path / "out", row.image_id).unlink()
    text = _write(made, tmp_path).read_text()
    assert 'class="cases"' not in text
    assert row.reasons[0].message in text


def test_evidence_of_other_findings_is_not_shown(tmp_path: Path) -> None:
    made, row = _flagged(tmp_path)
    other = replace(row, reasons=(replace(row.reasons[0], value=0.5, message="blur 0.5"),))
    rows = [other if one is row else one for one in made.rows]
    text = _write(replace(made, rows=rows, everything=rows), tmp_path).read_text()
    assert 'class="cases"' not in text


def test_the_single_file_carries_the_maps_inside(tmp_path: Path) -> None:
    made, _ = _flagged(tmp_path)
    text = _write(made, tmp_path, single=True).with_name("single.html").read_text()
    assert 'class="map" src="data:image/png;base64,' in text
    assert "worst/" not in text


def test_exhibits_name_what_was_asked_for_and_have_ids_of_their_own() -> None:
    both = (*exhibits("a", _shown("0" * 32)), *exhibits("b", _shown("0" * 32)))
    checker = PageChecker()
    checker.feed("".join(str(chart) for one in both for chart in one.charts))
    assert len(checker.ids) == 8
    assert "hat (asked for): -0.1" in "".join(str(chart) for chart in both[1].charts)
    assert both[0].scale == ("0.4", "0.9 ratio")
