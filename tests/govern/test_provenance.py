"""The XMP mark: the same bytes for the same image, well-formed whatever the names, found again in every format."""

from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcgen.generate.encode import FORMATS, encode
from qcgen.govern.provenance import TRAINED_ALGORITHMIC_MEDIA, xmp_packet

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
XAP = "{http://ns.adobe.com/xap/1.0/}"
OURS = "{urn:qcgen:provenance:1#}"
DESCRIPTION = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"


def make_packet(model: str = "embedded:apparel") -> bytes:
    return xmp_packet(model=model, model_digest="d" * 64, run_id="run-1", image_id="i" * 32)


def fields_of(packet: bytes) -> dict[str, str | None]:
    """As another program reads them: by namespace, whatever the prefixes are."""
    (description,) = ElementTree.fromstring(packet.decode()).iter(DESCRIPTION)
    assert all(len(field) == 0 for field in description)
    return {field.tag: field.text for field in description}


def test_the_packet_says_what_iptc_asks_for() -> None:
    assert fields_of(make_packet()) == {
        f"{IPTC}DigitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        f"{IPTC}AISystemUsed": "qcgen embedded:apparel",
        f"{IPTC}AISystemVersionUsed": "d" * 64,
        f"{XAP}CreatorTool": "qcgen",
        f"{OURS}ImageID": "i" * 32,
        f"{OURS}RunID": "run-1",
    }


def test_the_packet_is_deterministic_and_small() -> None:
    assert make_packet() == make_packet()
    assert len(make_packet()) < 1000


@settings(deadline=None)  # other processes may hold the machine
@given(st.text())
def test_hostile_names_stay_inside_their_field(model: str) -> None:
    found, plain = fields_of(make_packet(model)), fields_of(make_packet())
    used = f"{IPTC}AISystemUsed"
    assert {**found, used: ""} == {**plain, used: ""}


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


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_packet_is_found_again_byte_for_byte(image_format: str) -> None:
    packet = make_packet()
    data = encode(np.full((16, 16, 3), 90, np.uint8), image_format, xmp=packet)
    with PIL.Image.open(BytesIO(data)) as image:
        stored = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert stored == packet
    assert fields_of(stored)[f"{OURS}ImageID"] == "i" * 32


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_file_without_a_packet_has_no_mark(image_format: str) -> None:
    with PIL.Image.open(BytesIO(encode(np.full((16, 16, 3), 90, np.uint8), image_format))) as image:
        assert not {"xmp", "XML:com.adobe.xmp"} & image.info.keys()
