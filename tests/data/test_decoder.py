"""Every picture file becomes RGB codes or a reason, in a process that may die."""

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from qcgen.data.decoder import Decoded, Decoder, Limits, Refused
from tests.data.hostile import bombs, encoded, many_scans, photo, png, zeros

RED, GROUND = (200, 30, 40), (10, 240, 90)


@pytest.fixture(scope="module")
def decoder():  # type: ignore[no-untyped-def]
    with Decoder(background=GROUND) as one:
        yield one


def _decoded(decoder: Decoder, content: bytes) -> Decoded:
    (found,) = decoder.decode([content])
    assert isinstance(found, Decoded), found
    return found


def _refused(decoder: Decoder, content: bytes) -> Refused:
    (found,) = decoder.decode([content])
    assert isinstance(found, Refused)
    return found


def _flat(mode: str, colour: object) -> PIL.Image.Image:
    return PIL.Image.new(mode, (9, 5), colour)  # type: ignore[arg-type]


def _palette(transparent: bool) -> bytes:
    picture = _flat("RGB", RED).quantize(4)
    return encoded(picture, "PNG", **({"transparency": picture.getpixel((0, 0))} if transparent else {}))


def _rotated(orientation: int) -> bytes:
    picture = PIL.Image.new("RGB", (8, 16), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 8, 8))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture, "PNG", exif=exif)


@pytest.mark.parametrize(
    ("content", "codes", "notes"),
    [
        (encoded(_flat("RGB", RED), "PNG"), RED, set()),
        (encoded(_flat("1", 1), "PNG"), (255, 255, 255), set()),
        (encoded(_flat("L", 77), "PNG"), (77, 77, 77), set()),
        (encoded(_flat("LA", (77, 255)), "PNG"), (77, 77, 77), set()),
        (encoded(_flat("LA", (77, 0)), "PNG"), GROUND, {"composited"}),
        (encoded(_flat("RGBA", (*RED, 255)), "PNG"), RED, set()),
        (encoded(_flat("RGBA", (*RED, 0)), "PNG"), GROUND, {"composited"}),
        (encoded(_flat("RGBA", (*RED, 0)), "WEBP", lossless=True, exact=True), GROUND, {"composited"}),
        (encoded(_flat("RGB", RED), "PNG", transparency=RED), GROUND, {"composited"}),
        (_palette(False), RED, set()),
        (_palette(True), GROUND, {"composited"}),
        (encoded(PIL.Image.fromarray(np.full((5, 9), 0x4D80, np.uint16)), "PNG"), (77, 77, 77), {"reduced"}),
        (png(9, 5, zeros(1_000_000), bits=16), (0, 0, 0), set()),
        (encoded(_flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=100, subsampling=0), (255, 0, 0), {"converted"}),
        (encoded(_flat("L", 77), "JPEG", quality=100), (77, 77, 77), set()),
        (encoded(_flat("RGB", RED), "AVIF", quality=100), RED, set()),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(
    decoder: Decoder, content: bytes, codes: tuple[int, int, int], notes: set[str]
) -> None:
    found = _decoded(decoder, content)
    assert found.image.shape == (3, 5, 9)
    # JPEG's and AVIF's colour spaces round.
    assert (found.image.flatten(1).double().mean(1) - torch.tensor(codes)).abs().max() <= 2
    assert set(found.notes) == notes


def test_half_transparent_pixels_are_mixed_with_the_ground(decoder: Decoder) -> None:
    found = _decoded(decoder, encoded(_flat("RGBA", (*RED, 128)), "PNG"))
    wanted = [(128 * red + 127 * ground) / 255 for red, ground in zip(RED, GROUND, strict=True)]
    assert found.image[:, 2, 3].tolist() == pytest.approx(wanted, abs=1)


def test_sixteen_bits_keep_their_upper_half(decoder: Decoder) -> None:
    levels = np.arange(0, 65536, 257, dtype=np.uint16)[None].repeat(2, 0)
    found = _decoded(decoder, encoded(PIL.Image.fromarray(levels), "PNG"))
    assert found.image[0, 0].tolist() == list(range(255 + 1))[: levels.shape[1]]


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (15, 0)), (6, (0, 8)), (8, (0, 0))])
def test_the_cameras_rotation_is_applied(decoder: Decoder, orientation: int, corner: tuple[int, int]) -> None:
    found = _decoded(decoder, _rotated(orientation))
    assert found.image.shape == ((3, 16, 8) if orientation in (1, 3) else (3, 8, 16))
    assert found.image[0, corner[0], corner[1]] == 255
    assert ("rotated" in found.notes) == (orientation != 1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken(decoder: Decoder, kind: str) -> None:
    content = encoded(_flat("RGB", RED), kind, save_all=True, append_images=[_flat("RGB", (0, 0, 0))], quality=100)
    found = _decoded(decoder, content)
    assert (found.image[:, 2, 4].int() - torch.tensor(RED)).abs().max() <= 3
    assert found.notes["first_frame"] == "of 2 frames the first is judged"


@pytest.mark.parametrize("size", [(1, 1), (3, 20_000), (20_000, 3)])
def test_dots_and_strips_are_decoded(decoder: Decoder, size: tuple[int, int]) -> None:
    assert _decoded(decoder, encoded(PIL.Image.new("RGB", size), "PNG")).image.shape == (3, size[1], size[0])


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b"", "empty", "it is empty"),
        (b"just a note", "no_picture", "it is text"),
        (encoded(_flat("LAB", 0), "TIFF"), "no_picture", "it is a TIFF"),
        (encoded(_flat("P", 0), "GIF"), "no_picture", "it is a GIF"),
        (encoded(photo(), "PNG")[:300], "damaged", "cannot be decoded"),
        (png(10_000, 10_000, b""), "too_many_pixels", "10000 x 10000 pixels, the limit is 50 million"),
    ],
)
def test_what_is_no_picture_has_a_code_and_a_reason(decoder: Decoder, content: bytes, code: str, told: str) -> None:
    found = _refused(decoder, content)
    assert found.code == code
    assert told in found.reason


def test_a_file_over_the_limit_of_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)
    with Decoder() as decoder:
        (found,) = decoder.read([path])
    assert isinstance(found, Refused)
    assert found.code == "too_many_bytes"


def test_a_decoder_that_takes_too_long_is_ended_and_the_next_picture_decoded() -> None:
    def asked(decoder: Decoder) -> Iterator[bytes]:
        yield many_scans(1_600, 3_000)
        # The process that has it keeps the short limit; the next one has time, however busy the machine is.
        decoder.limits = Limits()
        yield from [encoded(photo(), "PNG")] * 2

    with Decoder(Limits(seconds=0.5)) as decoder:
        kinds = [one.code if isinstance(one, Refused) else "" for one in decoder.decode(asked(decoder))]
    assert kinds == ["too_slow", "", ""]


def test_a_decoder_that_wants_too_much_memory_refuses_and_goes_on() -> None:
    large = encoded(PIL.Image.new("RGB", (6_000, 6_000)), "PNG")
    with Decoder(Limits(address_space=300_000_000)) as decoder:
        found = list(decoder.decode([large, encoded(photo(), "PNG")]))
    assert isinstance(found[0], Refused)
    assert found[0].code in ("too_large", "decoder_died")
    assert isinstance(found[1], Decoded)


def test_a_process_that_is_killed_costs_one_picture() -> None:
    content = [encoded(photo(seed=seed), "PNG") for seed in range(40)]
    with Decoder() as decoder:
        found = decoder.decode(content)
        kinds = [type(next(found))]
        assert decoder._pipe is not None
        decoder._pipe._process.kill()
        kinds += [type(one) for one in found]
    assert kinds.count(Refused) <= 1
    assert len(kinds) == 40


def test_a_process_that_still_serves_is_ended_and_one_that_died_says_how() -> None:
    content = encoded(photo(), "PNG")
    with Decoder() as decoder:
        _decoded(decoder, content)
        assert decoder._pipe is not None
        serving = decoder._pipe._process
        assert decoder.close() == "signal 9"
        assert serving.poll() == -9
        _decoded(decoder, content)
        assert decoder._pipe is not None
        os.kill(decoder._pipe._process.pid, signal.SIGSEGV)
        (found,) = decoder.decode([content])
    assert isinstance(found, Refused)
    assert found.reason == "decoding it ended the process (signal 11)"


def test_a_decoder_can_open_no_file() -> None:
    """What a tricked decoder could do: nothing on the disk, in a process without handles to give."""
    with Decoder() as decoder:
        _decoded(decoder, encoded(photo(), "PNG"))
        assert decoder._pipe is not None
        limits = Path(f"/proc/{decoder._pipe._process.pid}/limits").read_text().splitlines()
    rows = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
    assert (rows["Max open files"], rows["Max file size"], rows["Max core file size"]) == ("3", "0", "0")
    assert int(rows["Max address space"]) == Limits().address_space


def test_order_and_content_stay_when_many_are_asked_ahead() -> None:
    pictures = [photo(8 + seed, seed) for seed in range(60)]
    content = [b"" if seed % 7 == 3 else encoded(one, "PNG") for seed, one in enumerate(pictures)]
    with Decoder() as decoder:
        for seed, found in enumerate(decoder.decode(content)):
            if seed % 7 == 3:
                assert isinstance(found, Refused)
            else:
                assert isinstance(found, Decoded)
                assert found.image.permute(1, 2, 0).numpy().tobytes() == pictures[seed].tobytes()


def test_thirty_bombs_are_refused_or_decoded_small() -> None:
    named = dict(bombs())
    assert len(named) == 30
    with Decoder() as decoder:
        found = dict(zip(named, decoder.decode(named.values()), strict=True))
    pixels = sum(one.image[0].numel() for one in found.values() if isinstance(one, Decoded))
    assert pixels < 10_000
    refused = {name: one.code for name, one in found.items() if isinstance(one, Refused)}
    assert len(refused) >= 24
    assert refused["square.png"] == refused["said_large.jpg"] == refused["flat.webp"] == "too_many_pixels"
    assert "decoder_died" not in refused.values()


def test_bytes_flipped_anywhere_never_end_the_work() -> None:
    rng = np.random.default_rng(0)
    content = []
    for kind in ("PNG", "JPEG", "WEBP", "AVIF"):
        whole = encoded(photo(), kind)
        for _ in range(40):
            broken = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                broken[place] = int(rng.integers(256))
            content.append(bytes(broken))
    with Decoder() as decoder:
        found = list(decoder.decode(content))
    assert len(found) == len(content)
    assert any(isinstance(one, Decoded) for one in found)
    assert any(isinstance(one, Refused) for one in found)


def test_a_decoded_picture_equals_pillows(decoder: Decoder) -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        content = encoded(photo(33), kind)
        with PIL.Image.open(io.BytesIO(content)) as picture:
            wanted = np.asarray(picture.convert("RGB"))
        assert np.array_equal(_decoded(decoder, content).image.permute(1, 2, 0).numpy(), wanted)
