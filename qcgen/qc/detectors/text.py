"""Text where none was asked for: watermarks, captions, lettering that means nothing."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch

from qcgen.core.evidence import Box
from qcgen.qc.evidence import Evidence
from qcgen.qc.protocol import Batch, Scores
from qcgen.qc.scores import short_side, unscored, with_reasons

_SURE = 0.6
_SHOWN = 3

_Box = Sequence[Sequence[float]]
_Reader = Callable[[npt.NDArray[np.uint8]], tuple[Sequence[tuple[_Box, str, float]] | None, object]]


class Text:
    """Number of lines of text that the reader is sure of (confidence at least 0.6).

    It reads logos and printed patterns too, and misses stylised type. The evidence has text, confidence and box (left,
    top, right, bottom in pixels) of the surest three. Needs the extra `ocr` (rapidocr-onnxruntime, Apache-2.0, with its
    own weights); `not_installed` without it. About a second a picture on a CPU.
    """

    name: ClassVar[str] = "text"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "lines"
    range: ClassVar[tuple[float, float]] = (0.0, 1000.0)
    higher_is_better: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = True

    def score(self, batch: Batch) -> Scores:
        reader = _reader()
        if reader is None:
            return unscored(batch, "not_installed")
        if short_side(batch) < 16:
            return unscored(batch, "too_small")
        found = [_sure(reader, image) for image in batch.images.cpu().permute(0, 2, 3, 1).contiguous().numpy()]
        values = torch.tensor([float(len(lines)) for lines in found], dtype=torch.float64).clamp(*self.range)
        return with_reasons(values, [None] * len(found), [_evidence(lines) for lines in found])

    def explain(self, batch: Batch, index: int) -> Evidence:
        reader, image = _reader(), batch.images[index].cpu().permute(1, 2, 0).contiguous().numpy()
        lines = _sure(reader, image)[:_SHOWN] if reader else []
        return Evidence(
            "Framed: the surest lines of text, as they were read.",
            boxes=tuple(_framed(box, text, image.shape) for box, text, _ in lines),
        )


def _framed(box: _Box, text: str, shape: tuple[int, ...]) -> Box:
    across = [min(max(point[0] / shape[1], 0.0), 1.0) for point in box]
    down = [min(max(point[1] / shape[0], 0.0), 1.0) for point in box]
    return Box(min(across), min(down), max(across), max(down), text[:100])


@lru_cache(maxsize=1)
def _reader() -> _Reader | None:
    """One for the process: loading its three networks takes a second."""
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:
        return None
    return cast(_Reader, RapidOCR())


def _sure(reader: _Reader, image: npt.NDArray[np.uint8]) -> list[tuple[_Box, str, float]]:
    """Surest first. The reader takes BGR."""
    lines, _ = reader(np.ascontiguousarray(image[:, :, ::-1]))
    kept = [(box, text, float(sure)) for box, text, sure in lines or () if float(sure) >= _SURE]
    return sorted(kept, key=lambda line: (-line[2], line[1]))


def _evidence(lines: Sequence[tuple[_Box, str, float]]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for place, (box, text, sure) in enumerate(lines[:_SHOWN], start=1):
        across, down = [point[0] for point in box], [point[1] for point in box]
        corners = (min(across), min(down), max(across), max(down))
        facts |= {f"text_{place}": text[:100], f"sure_{place}": f"{sure:.2f}"}
        facts[f"box_{place}"] = " ".join(f"{corner:.0f}" for corner in corners)
    return facts
