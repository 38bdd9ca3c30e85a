"""Bytes of a picture file to RGB codes, in a process of its own that may die: `decoder.Decoder` starts it.

Runs as a script and imports nothing of qcgen and no numpy, so that it starts in less than a tenth of a second and its
address space stays small. It reads requests from stdin and answers on stdout; it opens no file.
"""

import io
import json
import resource
import struct
import sys
import warnings
from collections.abc import Mapping
from typing import BinaryIO, cast

import PIL.AvifImagePlugin
import PIL.Image
import PIL.ImageOps
import PIL.JpegImagePlugin
import PIL.MpoImagePlugin  # a kind of JPEG, and TIFF is what EXIF is written in: too late to import once confined
import PIL.PngImagePlugin
import PIL.TiffImagePlugin
import PIL.WebPImagePlugin

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
HEAD = struct.Struct("<II")
"""Before a message: bytes of its JSON and of what follows it."""

_ORIENTATION = 0x0112
_SIGNS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"), (b"II*\0", "a TIFF"), (b"MM\0*", "a TIFF"), (b"BM", "a BMP"), (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"), (b"PK\3\4", "a ZIP archive"), (b"\x1f\x8b", "a gzip archive"), (b"\0\0\1\0", "an icon"),
    (b"<", "text (HTML, XML or SVG)"),
)  # fmt: skip


class RefusedError(Exception):
    """A picture that is not decoded: a code for programs and a reason for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def decode(
    content: bytes, *, most_pixels: int, most_frames: int, background: tuple[int, int, int], least_side: int = 0
) -> tuple[int, int, bytes, dict[str, str]]:
    """Width, height, the codes of red, of green and of blue row by row, and what was done to get them.

    The header is read first: nothing is decoded that is too large. Alpha is laid on the background, 16 bits a channel
    become 8 by their upper half, the camera's rotation is applied, and of several frames the first is taken. With a
    `least_side` pictures are shrunk to 1/2, 1/4 or 1/8 as long as their short side stays as long; of a JPEG the fine
    detail is then not even computed.

    Raises:
        RefusedError: the picture cannot or must not be decoded.
    """
    try:
        with PIL.Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            notes = _check(picture, most_pixels, most_frames)
            factor = _factor(picture, least_side)
            narrow = picture.width // factor
            if factor > 1:
                notes["scaled"] = f"judged at 1/{factor} of its size"
                picture.draft(None, (narrow, picture.height // factor))
            picture.load()
            scaled = picture.width < narrow * factor
            codes = _to_rgb(_upright(picture, notes), background, notes)
            codes = codes if factor == 1 or scaled else codes.reduce(factor)
            return *codes.size, b"".join(band.tobytes() for band in codes.split()), notes
    except PIL.UnidentifiedImageError:
        if content.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise RefusedError("damaged", "its header cannot be read") from None
        raise RefusedError("no_picture", f"it is {_guess(content)}, not a PNG, JPEG, WebP or AVIF") from None
    except MemoryError:
        raise RefusedError("too_large", "decoding takes more memory than it may have") from None
    # Decoders raise what their parsers raise: SyntaxError, struct.error, IndexError, zlib.error and others.
    except RefusedError:
        raise
    except Exception as error:
        raise RefusedError("damaged", f"it cannot be decoded ({str(error)[:200] or type(error).__name__})") from None


def _check(picture: PIL.Image.Image, most_pixels: int, most_frames: int) -> dict[str, str]:
    if picture.width * picture.height > most_pixels:
        raise RefusedError(
            "too_many_pixels",
            f"it says {picture.width} x {picture.height} pixels, the limit is {most_pixels / 1e6:g} million",
        )
    frames = int(getattr(picture, "n_frames", 1))
    if frames > most_frames:
        raise RefusedError("too_many_frames", f"it has {frames} frames, the limit is {most_frames}")
    return {} if frames == 1 else {"first_frame": f"of {frames} frames the first is judged"}


def _factor(picture: PIL.Image.Image, least_side: int) -> int:
    short = min(picture.size)
    return next((factor for factor in (8, 4, 2) if least_side and short // factor >= least_side), 1)


def _upright(picture: PIL.Image.Image, notes: dict[str, str]) -> PIL.Image.Image:
    try:
        turned = picture.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # broken metadata says nothing about the pixels
        return picture
    if not turned:
        return picture
    notes["rotated"] = "turned as its EXIF orientation says"
    return PIL.ImageOps.exif_transpose(picture)


def _to_rgb(picture: PIL.Image.Image, background: tuple[int, int, int], notes: dict[str, str]) -> PIL.Image.Image:
    if picture.mode.startswith(("I", "F")):
        # Pillow's own conversion would cut everything above 255 off.
        notes["reduced"] = "16 bits a channel reduced to 8"
        return picture.convert("I").point(lambda code: code * (1 / 256)).convert("L").convert("RGB")
    if picture.has_transparency_data:
        whole = picture.convert("RGBA")
        alpha = whole.getchannel("A")
        if alpha.getextrema() != (255, 255):
            notes["composited"] = f"laid on {', '.join(map(str, background))} where it is transparent"
            ground = PIL.Image.new("RGB", whole.size, background)
            ground.paste(whole, mask=alpha)
            return ground
        return whole.convert("RGB")
    if picture.mode == "CMYK":
        notes["converted"] = "CMYK turned into RGB without its colour profile"
    return picture.convert("RGB")


def _guess(content: bytes) -> str:
    if known := next((name for sign, name in _SIGNS if content.startswith(sign)), None):
        return known
    head = content[:512]
    return "text" if head and all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "something else"


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are none."""
    while len(head := requests.read(HEAD.size)) == HEAD.size:
        about, size = HEAD.unpack(head)
        wanted = cast(Mapping[str, object], json.loads(requests.read(about)))
        content = requests.read(size)
        try:
            width, height, codes, notes = decode(
                content,
                most_pixels=int(cast(int, wanted["most_pixels"])),
                most_frames=int(cast(int, wanted["most_frames"])),
                background=cast(tuple[int, int, int], tuple(cast(list[int], wanted["background"]))),
                least_side=int(cast(int, wanted["least_side"])),
            )
            found: dict[str, object] = {"width": width, "height": height, "notes": notes}
        except RefusedError as error:
            codes, found = b"", {"refused": error.code, "reason": str(error)}
        except MemoryError:
            codes, found = b"", {"refused": "too_large", "reason": "decoding takes more memory than it may have"}
        text = json.dumps(found).encode()
        answers.write(HEAD.pack(len(text), len(codes)) + text)
        answers.write(codes)
        answers.flush()
        del content, codes


def _confine(address_space: int) -> None:
    """What a decoder that was tricked could still do: compute, and answer."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


if __name__ == "__main__":
    PIL.Image.preinit()
    # The header is compared with the caller's own limit.
    PIL.Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")
    _confine(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
