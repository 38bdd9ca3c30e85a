"""Maps against pictures whose marked places are known."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from qcgen.review.lenses import LENS_OF_FINDING, LENSES, draw_lens, make_thumbnail
from qcgen.review.problem import RefusedError


def png(codes: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(codes.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def marks(data: bytes, number: int) -> tuple[np.ndarray, str]:
    drawn, says = draw_lens(data, number)
    return np.asarray(Image.open(BytesIO(drawn)))[..., 3], says


@pytest.fixture
def grey() -> np.ndarray:
    return np.full((64, 48, 3), 128)


def test_burnt_pixels_are_marked_and_counted(grey: np.ndarray) -> None:
    grey[:16, :, 1] = 255
    found, says = marks(png(grey), 0)
    assert (found[:16] == 255).all()
    assert (found[16:] == 0).all()
    assert "25.0 %" in says


def test_an_edge_is_marked_where_it_is(grey: np.ndarray) -> None:
    grey[:, 24:] = 228
    found, _ = marks(png(grey), 1)
    assert (found[:, 23] == 255).all()
    assert found[:, :20].max() == 0
    assert found[:, 28:].max() == 0


def test_a_lone_pixel_is_marked_and_an_edge_is_not(grey: np.ndarray) -> None:
    grey[:, 24:] = 228
    grey[10, 10] = 255
    found, _ = marks(png(grey), 2)
    assert found[10, 10] == 255
    assert np.count_nonzero(found) == 1


def test_what_has_not_the_frames_colour_is_marked(grey: np.ndarray) -> None:
    grey[30:, 20:30] = 20
    found, says = marks(png(grey), 3)
    assert (found[32:, 21:29] == 255).all()
    assert found[:28].max() == 0
    assert "0.0 %" not in says, "the patch reaches the lower edge"


def test_every_finding_points_at_a_map_that_exists() -> None:
    assert set(LENS_OF_FINDING.values()) == set(range(len(LENSES)))


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (17, 1, 3)])
@pytest.mark.parametrize("number", range(len(LENSES)))
def test_every_map_takes_the_smallest_pictures(shape: tuple[int, ...], number: int) -> None:
    found, _ = marks(png(np.zeros(shape)), number)
    assert found.shape == shape[:2]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"GIF89a" + b"\0" * 40])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        draw_lens(data, 0)
    with pytest.raises(RefusedError):
        make_thumbnail(data)


def test_a_bomb_is_refused_by_its_header_alone() -> None:
    file = BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    with pytest.raises(RefusedError):
        draw_lens(file.getvalue(), 0)


def test_thumbnail_is_small_and_keeps_the_shape(grey: np.ndarray) -> None:
    small = Image.open(BytesIO(make_thumbnail(png(np.repeat(np.repeat(grey, 8, 0), 8, 1)))))
    assert (small.format, small.size) == ("WEBP", (144, 192))
