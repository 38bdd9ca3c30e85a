"""The mark in every file that says a machine made it: an XMP packet with IPTC's fields. No prompts, no names of people.

The order in a file's life: pixels, watermark, encoding, XMP, signature last: a packet added later would break it.
"""

import re
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import PIL.Image

# IPTC's code for pictures made by a trained model alone: an identifier, never fetched.
TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

_NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "qcgen": "urn:qcgen:provenance:1#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MAX_PACKET = 1_000_000
# XML 1.0 has no way to write these characters, not even as entities.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xmp_packet(*, model: str, model_digest: str, run_id: str, image_id: str) -> bytes:
    """The packet for one image; equal arguments give equal bytes.

    Args:
        model: the job's name for it; of a path only the last part is written, because paths name people.
        model_digest: pins the weights.
        run_id, image_id: the image's place in the store.
    """
    fields = {
        "Iptc4xmpExt:DigitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "Iptc4xmpExt:AISystemUsed": f"qcgen {_public_name(model)}",
        "Iptc4xmpExt:AISystemVersionUsed": model_digest,
        "xmp:CreatorTool": "qcgen",
        "qcgen:ImageID": image_id,
        "qcgen:RunID": run_id,
    }
    spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
    body = "".join(f"<{name}>{escape(_UNWRITABLE.sub('�', value))}</{name}>" for name, value in fields.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""{spaces}>{body}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def read_xmp(path: Path) -> bytes | None:
    """The XMP packet of a PNG, JPEG or WebP file; None if it has none.

    Raises:
        OSError: not a readable picture of these kinds.
    """
    with PIL.Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if packet is None:
        return None
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def parse_xmp(packet: bytes) -> dict[str, str] | None:
    """The fields that `xmp_packet` writes, by prefixed name, as far as they are there; None if this is no XMP."""
    # A packet needs no document type; refusing it refuses entity bombs.
    if len(packet) > _MAX_PACKET or b"<!" in packet:
        return None
    try:
        root = ElementTree.fromstring(packet.decode("utf-8").strip("\ufeff\0 \r\n"))
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError):
        return None
    prefixes = {uri: prefix for prefix, uri in _NAMESPACES.items()}
    found: dict[str, str] = {}
    for description in root.iter(f"{{{_RDF}}}Description"):
        pairs = [*description.attrib.items(), *((child.tag, child.text or "") for child in description)]
        for tag, text in pairs:
            uri, _, name = tag.lstrip("{").partition("}")
            if uri in prefixes:
                found[f"{prefixes[uri]}:{name}"] = text
    return found


def _public_name(model: str) -> str:
    local = re.match(r"[/\\~.]|[A-Za-z]:[/\\]", model)
    return PurePosixPath(model.replace("\\", "/")).name if local else model
