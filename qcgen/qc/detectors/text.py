"""Text where none was asked for: watermarks, captions, lettering that means nothing."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.evidence import Box
from qcgen.models.textreader import Line, find_reader
from qcgen.qc.evidence import Evidence, heat
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import short_side, unscored, with_reasons

_SMALLEST = 64
_SHOWN = 3
_ONE_LETTER = 0.25
_FIELD = "lettering"


class Text:
    """How certainly the clearest line was read: mean probability of its letters, for fewer than four in proportion.

    Where the items table has a field `lettering`, the line nearest to it counts by its character error rate instead
    (wrong, missing and added letters over those asked for, at most 1; without regard to case and spaces). The reader
    sees real print too: brands, labels, slogans. It reads up to six lines at any angle but upside down, with capitals
    of about 3 % of the short side or more, and misses what is faint: a watermark of 25 % opacity more often than not.
    The evidence has text, certainty and box (left, top, right, bottom in pixels) of the clearest three. Needs the
    extra `ocr`; `not_installed` without it. Costs more than all pixel detectors together, the same for any size.
    """

    name: ClassVar[str] = "text"
    version: ClassVar[int] = 3
    unit: ClassVar[str] = "probability"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False
    learned: ClassVar[bool] = True
    own_limit: ClassVar[float] = 0.75
    slow: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        reader = find_reader()
        if reader is None:
            return unscored(batch, "not_installed")
        if short_side(batch) < _SMALLEST:
            return unscored(batch, "too_small")
        found = [reader.read(image) for image in batch.images]
        asked = [fields.get(_FIELD, "") for fields in batch.fields]
        values = [_unasked(lines, one) for lines, one in zip(found, asked, strict=True)]
        evidence = [_evidence(lines, *batch.images.shape[-2:]) for lines in found]
        return with_reasons(torch.tensor(values, dtype=torch.float64).clamp(*self.range), [None] * len(found), evidence)

    def explain(self, batch: Batch, index: int) -> Evidence:
        reader, image = find_reader(), batch.images[index]
        lines = reader.read(image) if reader else ()
        return Evidence(
            "Marked: lines, by how certainly they were read. Framed: the clearest, as they were read.",
            heat=heat(_plane(lines, *image.shape[1:]), _ONE_LETTER, 1.0, "probability"),
            boxes=tuple(Box(*line.box, line.text[:100]) for line in lines[:_SHOWN]),
        )


def _plane(lines: Sequence[Line], height: int, width: int) -> Float[Tensor, "h w"]:
    """Each line's certainty in its box."""
    plane = torch.zeros(height, width)
    for line in reversed(lines):
        left, top, right, bottom = line.box
        plane[int(top * height) : round(bottom * height), int(left * width) : round(right * width)] = line.certainty
    return plane


def _unasked(lines: Sequence[Line], asked: str) -> float:
    """Certainty of the clearest line; the line nearest to what was asked for counts by its errors alone."""
    wanted = _plain(asked)
    found = [line.certainty for line in lines]
    if not wanted or not lines:
        return max(found, default=1.0 if wanted else 0.0)
    errors = [_distance(_plain(line.text), wanted) for line in lines]
    nearest = min(range(len(lines)), key=errors.__getitem__)
    found[nearest] = min(1.0, errors[nearest] / len(wanted))
    return max(found)


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def _distance(one: str, other: str) -> int:
    """Levenshtein's: letters to insert, delete or replace."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, wanted in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != wanted))
    return row[-1]


def _evidence(lines: Sequence[Line], height: int, width: int) -> dict[str, str]:
    facts: dict[str, str] = {}
    for place, line in enumerate(lines[:_SHOWN], start=1):
        left, top, right, bottom = line.box
        facts |= {f"text_{place}": line.text[:100], f"sure_{place}": f"{line.certainty:.2f}"}
        facts[f"box_{place}"] = f"{left * width:.0f} {top * height:.0f} {right * width:.0f} {bottom * height:.0f}"
    return facts
