"""The mark in every file that says a machine made it: an XMP packet with IPTC's fields. No prompts, no names of people.

The order in a file's life: pixels, watermark, encoding, XMP, signature last: a packet added later would break it.
"""

import re
from pathlib import PurePosixPath
from xml.sax.saxutils import escape

# IPTC's code for pictures made by a trained model alone: an identifier, never fetched.
TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

_NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "qcgen": "urn:qcgen:provenance:1#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
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


def _public_name(model: str) -> str:
    local = re.match(r"[/\\~.]|[A-Za-z]:[/\\]", model)
    return PurePosixPath(model.replace("\\", "/")).name if local else model
