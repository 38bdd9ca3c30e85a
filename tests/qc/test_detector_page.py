"""The page that tells of each detector is what the detectors say of themselves, with pictures that are small."""

import PIL.Image

from benchmarks.qc_examples import FOLDER, MOST_BYTES, PAGE, page
from benchmarks.qc_subjects import FAULTS
from qcgen.qc.registry import find_detectors


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Cure: python -m benchmarks.qc_examples page"


def test_every_fault_has_its_picture_and_all_are_small() -> None:
    assert set(FAULTS) <= set(find_detectors())
    pictures = sorted(FOLDER.iterdir())
    assert [path.stem for path in pictures] == sorted(FAULTS), "Cure: make qc-examples"
    assert max(path.stat().st_size for path in pictures) < MOST_BYTES
    assert sum(path.stat().st_size for path in pictures) < 700_000
    for path in pictures:
        with PIL.Image.open(path) as picture:
            assert picture.format == "WEBP"


def test_every_picture_that_the_page_shows_is_there() -> None:
    named = [line.partition("](")[2].rstrip(")") for line in page().splitlines() if line.startswith("![")]
    assert len(named) == len(FAULTS)
    assert all((PAGE.parent / name).is_file() for name in named)
