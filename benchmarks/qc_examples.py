"""Draws docs/qc and writes docs/qc-detectors.md: each detector, a clean picture and a spoiled one, with the evidence.

python -m benchmarks.qc_examples [page | DETECTOR ...]     (page: the text alone; DETECTOR: its picture and the text)
"""

import inspect
import io
import json
import sys
from importlib.resources import files
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from torch import Tensor

from benchmarks.qc_subjects import FAULTS, WHOLE, Subject, batch_of, draw, encoder, whitened
from qcgen.core.evidence import Bar, Curve
from qcgen.qc.evidence import Evidence, Explainer
from qcgen.qc.overlay import draw_overlay
from qcgen.qc.protocol import Batch, Detector
from qcgen.qc.registry import find_detectors

FOLDER = Path(__file__).parent.parent / "docs" / "qc"
PAGE = FOLDER.parent / "qc-detectors.md"
CLEAN = range(8)
MOST_BYTES = 25_000
_SIDE, _GAP, _LINE = 192, 8, 18
_INK, _MUTED, _ACCENT, _PLAIN = (20, 23, 28), (84, 92, 104), (29, 91, 191), (150, 160, 175)
INTRO = """# The detectors, one by one

What each one sees, its unit and range, what it is blind to and when it has no value, and what it has shown so far
(`qcgen/qc/tables`; the whole measurement: `qcgen bench qc`). The sentences are the classes' own; `make qc-examples`
writes this page and its pictures again.

Each picture: at the left a clean picture of the embedded student, at the right the same with the detector's own
fault, each with its score and the evidence below. Of eight students' pictures it is the one whose score the fault
changes most, so it says what the evidence looks like and not how often the detector is right. Amber to crimson is a
map: it begins and ends at the same values for every picture, so that a clean picture is dark. Blue outlines are
boxes. Charts of both pictures have one axis.

A flagged picture's evidence lies in `<out>/evidence/`: `ID.json` and, where there is a map, `ID-DETECTOR.png`. It is
made after the verdicts, for the three strongest reasons of each flagged or rejected picture, and again by `qcgen
report` where it is missing. `core/evidence.py` says what a record holds. To give a detector evidence, write `explain`
beside its `score` (`qc/evidence.py` has the forms), or say in `nothing_to_show` why there is none.

"""
_Range = tuple[float, float]


def main(names: list[str]) -> None:
    """Write the pictures, with names only those, and the page."""
    if names != ["page"]:
        draw_pictures(names)
    PAGE.write_text(page(), encoding="utf-8")


def draw_pictures(names: list[str]) -> None:
    """With names only those."""
    own, whole = draw(CLEAN), draw(WHOLE)
    white = whitened(whole)
    accepted = encoder().encode_images(torch.stack([one.image for one in whole]))
    FOLDER.mkdir(exist_ok=True)
    for name in names or sorted(FAULTS):
        path = FOLDER / f"{name}.webp"
        picture = example(find_detectors()[name], white if FAULTS[name].on_white else own, accepted)
        picture.save(path, "WEBP", quality=80, method=6)
        assert path.stat().st_size < MOST_BYTES, path
        print(path.name, path.stat().st_size)


def page() -> str:
    """docs/qc-detectors.md from what the detectors say of themselves, and from the tables."""
    return INTRO + "".join(_section(name, one) for name, one in sorted(find_detectors().items()))


def _section(name: str, detector: Detector) -> str:
    low, high = detector.range
    better = "higher is better" if detector.higher_is_better else "higher is worse"
    lines = [f"## {name}", "", inspect.getdoc(type(detector)) or "", ""]
    lines += [f"- Unit: {detector.unit}; {low:g} to {high:g}, {better}. Version {detector.version}."]
    lines += [f"- {_passed(name, detector.version)}"]
    if name in FAULTS and (FOLDER / f"{name}.webp").is_file():
        lines += [f"- The example's fault: {FAULTS[name].told}."]
        lines += ["", f"![{name}: a clean picture and a spoiled one, with evidence](qc/{name}.webp)"]
    return "\n".join(lines) + "\n\n"


def _passed(name: str, version: int) -> str:
    """What its table says."""
    table = json.loads((Path(str(files("qcgen.qc"))) / "tables" / f"{name}.json").read_text(encoding="utf-8"))
    passed = {corruption: None for found in table["passed"].values() for corruption in sorted(found)}
    if table["version"] != version:
        return f"Its table is of version {table['version']}: measure it again."
    if not passed:
        return "Passes on no corruption yet" + (": it gates by a waiver, or not at all." if table["waived"] else ".")
    return f"Reaches its target on {', '.join(sorted(passed)).replace('_', ' ')}, on one domain or more."


def example(detector: Detector, subjects: list[Subject], accepted: Tensor) -> PIL.Image.Image:
    """Of the subjects the one whose score the fault changes most."""
    spoiled = [FAULTS[detector.name].spoil(one) for one in subjects]
    batches = [batch_of(group, accepted) for group in (subjects, spoiled)]
    scores = [detector.score(batch) for batch in batches]
    sign = -1 if detector.higher_is_better else 1
    able = [i for i in range(len(subjects)) if not any(one.reasons[i] for one in scores)]
    at = max(able, key=lambda i: sign * float(scores[1].values[i] - scores[0].values[i]))
    told = [f"{what}: {float(one.values[at]):.3g}" for what, one in zip(("clean", "spoiled"), scores, strict=True)]
    return _compose(detector, batches, at, told)


def _compose(detector: Detector, batches: list[Batch], at: int, told: list[str]) -> PIL.Image.Image:
    assert isinstance(detector, Explainer)
    evidence = [detector.explain(batch, at) for batch in batches]
    columns = [_column(batch.images[at], one, _common(evidence)) for batch, one in zip(batches, evidence, strict=True)]
    tall = max(one.height for one in columns) + 2 * _LINE
    sheet = PIL.Image.new("RGB", (2 * _SIDE + 3 * _GAP, tall + _GAP), "white")
    pen = PIL.ImageDraw.Draw(sheet)
    for place, (one, text) in enumerate(zip(columns, told, strict=True)):
        left = _GAP + place * (_SIDE + _GAP)
        pen.text((left, 3), text, fill=_INK, font=_font(13))
        pen.text((left, 3 + _LINE), detector.unit.replace("²", "^2"), fill=_MUTED, font=_font(10))
        sheet.paste(one, (left, 2 * _LINE))
    return sheet


def _column(image: Tensor, evidence: Evidence, scale: _Range) -> PIL.Image.Image:
    """The picture and, below it, what the detector shows."""
    plain = _picture(image)
    parts = [plain]
    if evidence.heat is not None or evidence.boxes:
        parts.append(_marked(plain, image, evidence))
    if evidence.curve is not None:
        parts.append(_chart(evidence.curve, scale))
    if evidence.bars:
        parts.append(_bars(evidence.bars, scale))
    if evidence.swatches:
        parts.append(_swatches(evidence))
    tall = sum(part.height + 4 for part in parts)
    column = PIL.Image.new("RGB", (_SIDE, tall), "white")
    top = 0
    for part in parts:
        column.paste(part, (0, top))
        top += part.height + 4
    return column


def _picture(image: Tensor) -> PIL.Image.Image:
    codes = image.permute(1, 2, 0).contiguous().numpy()
    return PIL.Image.fromarray(codes).resize((_SIDE, _SIDE), PIL.Image.Resampling.LANCZOS)


def _marked(plain: PIL.Image.Image, image: Tensor, evidence: Evidence) -> PIL.Image.Image:
    """The overlay over the picture in grey, so that the colours are the map's alone."""
    found = draw_overlay(evidence, height=image.shape[1], width=image.shape[2])
    grey = plain.convert("L").convert("RGBA")
    if found is not None:
        over = PIL.Image.open(io.BytesIO(found)).convert("RGBA").resize(grey.size, PIL.Image.Resampling.NEAREST)
        grey.alpha_composite(over)
    return grey.convert("RGB")


def _common(evidence: list[Evidence]) -> _Range:
    """One axis for both, so that they can be compared."""
    values = [y for one in evidence if one.curve for line in one.curve.lines for y in line.y]
    values += [bar.value for one in evidence for bar in one.bars]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if any(one.bars or (one.curve and one.curve.filled) for one in evidence):
        low = min(low, 0.0)
    return (low, high) if high > low else (low, low + 1)


def _chart(curve: Curve, scale: _Range) -> PIL.Image.Image:
    wide, tall, left, floor = _SIDE, 104, 4, 78
    sheet = PIL.Image.new("RGB", (wide, tall), "white")
    pen = PIL.ImageDraw.Draw(sheet)
    step = (curve.x[1] - curve.x[0]) / 2 if curve.filled else 0.0
    start, end = curve.x[0] - step, curve.x[-1] + step

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - start) / (end - start) * (wide - 2 * left)
        return across, floor - (y - scale[0]) / (scale[1] - scale[0]) * (floor - 16)

    pen.line([(left, floor), (wide - left, floor)], fill=_PLAIN)
    for mark in curve.marks:
        x = at(mark, scale[0])[0]
        pen.line([(x, 14), (x, floor)], fill=(214, 0, 92))
    for line, colour in zip(curve.lines, (_ACCENT, _MUTED), strict=False):
        points = [at(x, y) for x, y in zip(curve.x, line.y, strict=True)]
        if curve.filled:
            for x, y in points:
                pen.line([(x, floor), (x, y)], fill=colour, width=max(1, round((wide - 2 * left) / len(points)) - 1))
        else:
            pen.line(points, fill=colour, width=2)
    pen.text((left, 0), f"{curve.y_axis}, to {scale[1]:.3g}", fill=_MUTED, font=_font(10))
    pen.text((left, floor + 2), f"{curve.x[0]:.3g}", fill=_MUTED, font=_font(10))
    pen.text((wide - left, floor + 2), f"{curve.x[-1]:.3g}", fill=_MUTED, font=_font(10), anchor="ra")
    pen.text((wide / 2, floor + 14), curve.x_axis, fill=_MUTED, font=_font(10), anchor="ma")
    return sheet


def _bars(bars: tuple[Bar, ...], scale: _Range) -> PIL.Image.Image:
    sheet = PIL.Image.new("RGB", (_SIDE, 15 * len(bars) + 2), "white")
    pen = PIL.ImageDraw.Draw(sheet)
    left, right = 84.0, _SIDE - 34.0

    def at(value: float) -> float:
        return left + (value - scale[0]) / (scale[1] - scale[0]) * (right - left)

    for place, bar in enumerate(bars):
        top = place * 15
        label = bar.label if len(bar.label) < 15 else bar.label[:14] + "…"
        pen.text((0, top + 1), label, fill=_ACCENT if bar.own else _INK, font=_font(10))
        start, end = sorted((at(0), at(bar.value)))
        pen.rectangle((start, top + 3, max(end, start + 1), top + 11), fill=_ACCENT if bar.own else _PLAIN)
        pen.text((_SIDE, top + 1), f"{bar.value:.3g}", fill=_MUTED, font=_font(10), anchor="ra")
    return sheet


def _swatches(evidence: Evidence) -> PIL.Image.Image:
    sheet = PIL.Image.new("RGB", (_SIDE, 22 * len(evidence.swatches)), "white")
    pen = PIL.ImageDraw.Draw(sheet)
    for place, one in enumerate(evidence.swatches):
        top = 22 * place
        pen.rectangle((0, top + 1, 30, top + 19), fill=one.colour, outline=_PLAIN)
        pen.text((36, top + 4), one.label, fill=_INK, font=_font(11))
    return sheet


def _font(size: int) -> "PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont":
    # Pillow carries this font, so that the pictures do not depend on a machine's own.
    return PIL.ImageFont.load_default(size=size)


if __name__ == "__main__":
    main(sys.argv[1:])
