"""Encoders: round trip, metadata, determinism, odd sizes."""

from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from qcgen.generate.encode import FORMATS, encode, make_thumbnail

PACKET = "<?xpacket begin='\ufeff'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>é</x:xmpmeta><?xpacket end='w'?>".encode()
SIZES = [(1, 1), (1, 7), (33, 65), (128, 128)]


def picture(height: int, width: int) -> np.ndarray:
    axis = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)
    return np.stack([axis % 256, (axis // 2) % 256, (255 - axis) % 256], axis=2).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_png_gives_back_every_pixel(height: int, width: int) -> None:
    pixels = picture(height, width)
    decoded = PIL.Image.open(BytesIO(encode(pixels, "png", xmp=PACKET)))
    assert np.array_equal(np.asarray(decoded), pixels)


@pytest.mark.parametrize("image_format", ["jpeg", "webp"])
def test_lossy_formats_stay_close(image_format: str) -> None:
    pixels = picture(128, 128)[:, :, :1].repeat(3, axis=2) // 2 + 60
    decoded = np.asarray(PIL.Image.open(BytesIO(encode(pixels, image_format))).convert("RGB"), dtype=int)
    # 3 levels on average: far below visible, far above what a swapped channel or a wrong quality would give.
    assert np.abs(decoded - pixels).mean() < 3


@pytest.mark.parametrize("image_format", FORMATS)
def test_xmp_packet_is_in_the_file_byte_for_byte(image_format: str) -> None:
    data = encode(picture(16, 16), image_format, xmp=PACKET)
    assert PACKET in data
    image = PIL.Image.open(BytesIO(data))
    image.load()
    stored = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert stored == PACKET


@pytest.mark.parametrize("image_format", FORMATS)
def test_same_pixels_give_the_same_bytes(image_format: str) -> None:
    assert encode(picture(40, 30), image_format, xmp=PACKET) == encode(picture(40, 30), image_format, xmp=PACKET)


@pytest.mark.parametrize(("size", "expected"), [((64, 64), (64, 64)), ((512, 256), (96, 48)), ((1, 300), (1, 96))])
def test_thumbnail_is_a_small_jpeg_of_the_same_shape(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = PIL.Image.open(BytesIO(make_thumbnail(picture(size[1], size[0]))))
    assert (image.format, image.size) == ("JPEG", expected)
