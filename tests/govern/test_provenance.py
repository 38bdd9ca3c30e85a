"""The XMP mark: the same bytes for the same image, well-formed whatever the names, found again in every format."""

from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngInfo

from qcgen.govern.provenance import TRAINED_ALGORITHMIC_MEDIA, parse_xmp, read_xmp, xmp_packet


def make_packet(model: str = "embedded:apparel") -> bytes:
    return xmp_packet(model=model, model_digest="d" * 64, run_id="run-1", image_id="i" * 32)


def test_the_packet_says_what_iptc_asks_for() -> None:
    assert parse_xmp(make_packet()) == {
        "Iptc4xmpExt:DigitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "Iptc4xmpExt:AISystemUsed": "qcgen embedded:apparel",
        "Iptc4xmpExt:AISystemVersionUsed": "d" * 64,
        "xmp:CreatorTool": "qcgen",
        "qcgen:ImageID": "i" * 32,
        "qcgen:RunID": "run-1",
    }


def test_the_packet_is_deterministic_and_small() -> None:
    assert make_packet() == make_packet()
    assert len(make_packet()) < 1000


@settings(deadline=None)  # other processes may hold the machine
@given(st.text())
def test_hostile_names_stay_inside_their_field(model: str) -> None:
    packet = make_packet(model)
    ElementTree.fromstring(packet.decode())
    found = parse_xmp(packet)
    assert found is not None
    assert set(found) == set(parse_xmp(make_packet()) or {})


@pytest.mark.parametrize(
    "model",
    [
        "/home/alice/models/student",
        "~/alice/student",
        "../alice/student",
        "C:\\Users\\alice\\student",
        "\\\\host\\alice\\student",
    ],
)
def test_a_path_does_not_name_the_person_whose_folder_it_is(model: str) -> None:
    assert b"alice" not in make_packet(model)
    assert b"qcgen student<" in make_packet(model)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_the_packet_is_found_again_byte_for_byte(tmp_path: Path, image_format: str) -> None:
    packet, path = make_packet(), tmp_path / f"x.{image_format}"
    image = PIL.Image.new("RGB", (16, 16), "red")
    if image_format == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=False)
        image.save(path, pnginfo=info)
    else:
        image.save(path, xmp=packet)
    assert read_xmp(path) == packet


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_a_plain_picture_has_none(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / f"x.{image_format}"
    PIL.Image.new("RGB", (16, 16)).save(path)
    assert read_xmp(path) is None


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    buffer = BytesIO()
    PIL.Image.new("RGB", (4, 4)).save(buffer, "GIF")
    for data in (buffer.getvalue(), b"no picture"):
        (tmp_path / "x.png").write_bytes(data)
        with pytest.raises(OSError, match="cannot identify"):
            read_xmp(tmp_path / "x.png")


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize("packet", [b"", b"not xml", BOMB, b"\xff\xfe", b"<a>" * 10])
def test_what_is_no_xmp_is_none(packet: bytes) -> None:
    assert parse_xmp(packet) is None


def test_fields_written_as_attributes_are_read_too() -> None:
    packet = (
        make_packet()
        .replace(b'rdf:about=""', b'rdf:about="" xmp:CreatorTool="other"')
        .replace(b"<xmp:CreatorTool>qcgen</xmp:CreatorTool>", b"")
    )
    found = parse_xmp(packet)
    assert found is not None
    assert found["xmp:CreatorTool"] == "other"
