"""With a least side pictures are shrunk while they are decoded, and what is refused stays refused."""

import io

import numpy as np
import PIL.Image
import pytest

from qcgen.data.decoder import Decoded, Decoder, Limits, Refused
from tests.data.hostile import bombs, encoded


def _wave(width: int, height: int) -> PIL.Image.Image:
    down, across = np.mgrid[:height, :width]
    codes = np.stack([across * 255 // width, down * 255 // height, (across + down) % 64 + 96], axis=2)
    return PIL.Image.fromarray(codes.astype(np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "factor"), [((400, 503), 2), ((503, 400), 2), ((641, 1300), 4), ((319, 900), 1), ((2000, 1280), 8)]
)
def test_the_short_side_stays_as_long_as_asked(kind: str, size: tuple[int, int], factor: int) -> None:
    picture = _wave(*size)
    with Decoder(least_side=160) as decoder:
        (found,) = decoder.decode([encoded(picture, kind, quality=95)])
    assert isinstance(found, Decoded)
    height, width = found.image.shape[1:]
    assert (width, height) == tuple(-(-side // factor) for side in size)
    assert min(width, height) >= 160 or factor == 1
    assert set(found.notes) == ({"scaled"} if factor > 1 else set())
    whole = np.asarray(picture.reduce(factor)).astype(float).transpose(2, 0, 1)
    assert np.abs(found.image.numpy().astype(float) - whole)[:2].mean() < 2


def test_a_turned_picture_is_shrunk_and_turned() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    with Decoder(least_side=100) as decoder:
        (found,) = decoder.decode([encoded(_wave(400, 240), "JPEG", exif=exif)])
    assert isinstance(found, Decoded)
    assert found.image.shape == (3, 200, 120)
    assert set(found.notes) == {"scaled", "rotated"}


def test_a_quick_look_refuses_what_a_long_one_refuses() -> None:
    content = encoded(_wave(400, 300), "JPEG")
    with Decoder(Limits(pixels=100_000), least_side=16) as decoder:
        (large,) = decoder.decode([content])
        (cut,) = decoder.decode([content[:600]])
    assert isinstance(large, Refused)
    assert large.code == "too_many_pixels"
    assert isinstance(cut, Refused)


def test_thirty_bombs_are_refused_or_decoded_small_at_a_glance() -> None:
    named = dict(bombs())
    with Decoder(least_side=8) as decoder:
        found = dict(zip(named, decoder.decode(named.values()), strict=True))
    assert sum(one.image[0].numel() for one in found.values() if isinstance(one, Decoded)) < 10_000
    refused = {name: one.code for name, one in found.items() if isinstance(one, Refused)}
    assert refused["square.png"] == refused["said_large.jpg"] == refused["flat.webp"] == "too_many_pixels"
    assert "decoder_died" not in refused.values()


def test_shrinking_a_jpeg_gives_what_pillow_drafts() -> None:
    content = encoded(_wave(640, 480), "JPEG")
    with Decoder(least_side=200) as decoder:
        (found,) = decoder.decode([content])
    assert isinstance(found, Decoded)
    with PIL.Image.open(io.BytesIO(content)) as picture:
        picture.draft(None, (320, 240))
        assert np.array_equal(found.image.numpy(), np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
