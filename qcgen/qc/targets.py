"""What the layer has to reach, and which corruption shows it. A target is nobody's own: the best detector counts."""

from dataclasses import dataclass
from typing import Literal

from qcgen.core.qcbenchresult import Domain
from qcgen.qc.registry import find_corruptions


@dataclass(frozen=True, slots=True)
class Target:
    """Least AUROC and least recall at the 2 % limit, at one severity of each corruption.

    Attributes:
        gate: the artifact class.
        recall: None where only the order is asked for.
        others: detectors that see a side effect of the corruption and do not count.
        where: rules about a packshot's ground mean nothing on scenes; another colour, where none was asked for.
    """

    gate: str
    what: str
    corruptions: tuple[str, ...]
    severity: int
    auroc: float | None
    recall: float | None
    others: tuple[str, ...] = ()
    where: Literal["all", "packshots", "asked"] = "all"

    def applies(self, domain: Domain) -> bool:
        return self.where == "all" or (domain.packshots if self.where == "packshots" else domain.asked)


_SOFTNESS = ("blur", "blur_effect", "motion_blur", "detail", "ringing", "jpeg_blocks", "noise")

TARGETS = (
    Target("A2", "blank", ("contrast_down",), 3, None, 1.0),
    Target("A5", "colour cast", ("channel_gain",), 3, 0.99, 0.95, where="packshots"),
    # What is cut is scaled back to the picture's size, which softens it: these see that and not the cut.
    Target("A15", "cut at the border", ("crop",), 3, 0.99, 0.95, others=_SOFTNESS, where="packshots"),
    Target("A17", "ground not clean", ("background_darkened",), 3, 0.99, 0.95, where="packshots"),
    Target("A6", "blur", ("gaussian_blur", "motion_blur"), 3, 0.97, 0.90),
    # Noise breaks the ground into blobs.
    Target("A8", "noise", ("gaussian_noise",), 3, 0.97, None, others=("speckles",)),
    Target("A9", "JPEG blocks", ("jpeg",), 3, 0.97, 0.85),
    Target("A11", "posterised", ("posterise",), 3, 0.98, 0.95),
    Target("A13", "up-sampling grid", ("checker_2", "grid_8"), 3, 0.98, 0.95),
    Target("A14", "tile seam", ("seam",), 3, 0.93, 0.85),
    Target("A3/A4", "clipping, saturation", ("contrast_up", "oversaturation"), 4, 0.90, None),
    Target("A20", "another product", ("wrong_product",), 3, 0.97, None),
    Target("A21", "another colour", ("wrong_colour", "recolour"), 3, 0.95, None, where="asked"),
    # What the head of local_artifact is trained on, and what it has never seen.
    Target("A22", "local artifact", ("cut_paste", "duplicated_part", "warp"), 3, 0.85, None),
    Target("A22", "local artifact of a new kind", ("missing_part", "smear", "swirl"), 3, 0.75, None),
    Target("A24", "text, watermark", ("text_overlay", "watermark"), 3, None, 0.90),
)

UNMEASURED = (
    ("A1", "NaN and black", "the engine's own test: a picture file no longer shows it"),
    ("A19", "mode collapse", "a test of whole batches: `python -m benchmarks batchgates`, docs/qc.md has the shares"),
    ("A22", "pointing game", "measured where the head of local_artifact is trained: its card has the shares"),
)
"""Targets of the list that this measurement cannot judge, and why."""

LAYER_RATE, LAYER_BOUND = 0.02, 0.03
"""The whole layer on clean pictures of its own domain: share flagged, and the upper end of its interval."""

PEOPLE_AUROC, PEOPLE_RECALL = 0.85, 0.80
"""Against people's rejects: AUROC, and recall at a review load of a fifth."""


def target_of(corruption: str) -> Target | None:
    """The target that a corruption shows, None where there is none; a plug-in's corruption carries its own."""
    known = next((target for target in TARGETS if corruption in target.corruptions), None)
    own = getattr(find_corruptions().get(corruption), "target", None)
    return own if known is None and isinstance(own, Target) else known
