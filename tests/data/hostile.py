"""Picture files that are made to cost too much, or to be nothing at all."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import PIL.Image


def encoded(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def photo(side: int = 64, seed: int = 0) -> PIL.Image.Image:
    """Something with detail."""
    codes = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return PIL.Image.fromarray(codes).resize((side, side), PIL.Image.Resampling.BICUBIC)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, data: bytes, *, bits: int = 8, colour: int = 2, before: bytes = b"") -> bytes:
    """A PNG that says what it is told to say."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """A million zeros are a thousand bytes."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(b"\0" * 1_000_000) for _ in range(count // 1_000_000)), packer.flush()])


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: little memory, much time."""
    whole = encoded(photo(side), "JPEG", progressive=True, quality=50)
    last = whole.rfind(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def bombs() -> Iterator[tuple[str, bytes]]:
    """Thirty of them, by name."""
    small = encoded(photo(), "PNG")
    flat = zeros(60_000_000)
    yield "square.png", png(20_000, 20_000, flat)
    yield "largest.png", png(65_535, 65_535, flat)
    yield "endless_row.png", png(2**31 - 1, 1, flat)
    yield "endless_column.png", png(1, 2**31 - 1, flat)
    yield "one_bit.png", png(60_000, 60_000, flat, bits=1, colour=0)
    yield "sixteen_bit.png", png(10_000, 10_000, flat, bits=16, colour=6)
    yield "no_pixels.png", png(0, 0, b"")
    yield "palette_without_palette.png", png(12_000, 12_000, flat, colour=3)
    yield "rgba_64_million.png", png(8_000, 8_000, flat, colour=6)
    yield "short_data.png", png(7_000, 7_000, zeros(1_000_000))
    yield "too_much_data.png", png(8, 8, flat)
    yield "profile.png", png(8, 8, b"", before=chunk(b"iCCP", b"x\0\0" + flat))
    yield "text.png", png(8, 8, b"", before=chunk(b"zTXt", b"x\0\0" + flat))
    yield "long_text.png", png(8, 8, b"", before=chunk(b"iTXt", b"x\0\1\0\0\0" + flat))
    yield "exif.png", png(8, 8, b"", before=chunk(b"eXIf", b"II*\0" + b"\xff" * 100_000))
    yield "frames.png", png(8, 8, zeros(1_000_000), before=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    jpeg = bytearray(encoded(photo(), "JPEG"))
    place = jpeg.find(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 65_500, 65_500)
    yield "said_large.jpg", bytes(jpeg)
    yield (
        "many_frames.webp",
        encoded(
            photo(16), "WEBP", save_all=True, append_images=[photo(16, seed) for seed in range(1, 1_200)], lossless=True
        ),
    )
    yield "flat.webp", encoded(PIL.Image.new("RGB", (16_383, 3_100)), "WEBP", lossless=True, method=0)
    yield "archive.png", b"PK\3\4" + flat
    yield "packed.jpg", b"\x1f\x8b" + flat
    yield "page.png", b"<!doctype html>" * 50
    yield "picture.jpg", encoded(photo(), "GIF")
    yield "half.png", small[: len(small) // 2]
    yield "half.jpg", encoded(photo(), "JPEG")[:900]
    yield "half.webp", encoded(photo(), "WEBP")[:200]
    yield "signature.png", small[:8]
    yield "empty.png", b""
    yield "noise.png", b"\x89PNG\r\n\x1a\n" + random.Random(0).randbytes(100_000)
    yield "noise.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8L" + random.Random(1).randbytes(100_000)
