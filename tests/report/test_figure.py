"""The stand-alone figure: complete, honest about both sets, harmless with hostile labels."""

import re
from xml.etree import ElementTree

from qcgen.report.figure import two_histograms

SVG = "{http://www.w3.org/2000/svg}"


def _figure(label: str = "generated") -> str:
    return two_histograms("distance", edges=(0.0, 0.1, 0.2), one=(label, (10, 30)), other=("held-out photos", (3, 1)))


def test_it_is_an_svg_file_that_needs_no_other() -> None:
    drawn = _figure()
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}style") is not None
    assert not re.search(r"href|@import|url\(|<script", drawn)


def test_heights_are_shares_of_each_set_and_labels_give_the_counts() -> None:
    root = ElementTree.fromstring(_figure())
    filled, outline = (path.get("d") or "" for path in root.iter(f"{SVG}path"))

    def tops(path: str) -> list[float]:
        # Each bin's first corner is the only point at its height that a line goes up or down to.
        heights = [float(y) for _, y in re.findall(r"L([\d.]+) ([\d.]+)", path)]
        return [204 - heights[0], 204 - heights[2]]

    one, other = tops(filled), tops(outline)
    # Coordinates have one decimal: a tenth of a unit in 152.
    assert abs(one[0] / one[1] - 10 / 30) < 0.01
    assert abs(other[1] / other[0] - 1 / 3) < 0.01
    assert abs(max(one) - max(other)) < 0.2
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "generated (40)" in texts
    assert "held-out photos (4)" in texts


def test_a_label_cannot_break_out() -> None:
    root = ElementTree.fromstring(_figure("</text><script>x"))
    assert root.find(f".//{SVG}script") is None
