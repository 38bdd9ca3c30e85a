"""Why a picture is refused: the closed list that people choose from, and the code of each machine finding."""

from collections.abc import Mapping
from dataclasses import dataclass

NOTE_LENGTH = 2_000
OTHER = "other"
CRITICAL_WEIGHT = 3.0


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """One reason.

    Attributes:
        digit: the key that chooses it, 1 to 9.
        code: what is stored.
        name: what people read.
        definition: one sentence that says when it applies.
        weight: what it costs to let such a picture out, beside the others: 1 to 3.
    """

    digit: int
    code: str
    name: str
    definition: str
    weight: float = 1.0

    @property
    def critical(self) -> bool:
        """Whether a customer would send the product back, or a third party complain."""
        return self.weight >= CRITICAL_WEIGHT


REASONS = (
    ReasonCode(1, "blur", "Blur", "Fabric or edges are unsharp where a catalogue picture shows them sharp."),
    ReasonCode(
        2, "noise", "Noise or compression", "Grain, blocks, bands, seams or a grid lie over the picture at normal size."
    ),
    ReasonCode(
        3,
        "colour",
        "Colour",
        "The whole picture has a cast, is too pale or too bright, or has burnt or black areas.",
        weight=2.0,
    ),
    ReasonCode(
        4, "framing", "Crop or framing", "The product is cut off, off centre, too small or too large.", weight=2.0
    ),
    ReasonCode(
        5, "background", "Background", "The background is not the plain, even one that was asked for.", weight=2.0
    ),
    ReasonCode(
        6,
        "part",
        "Malformed or missing part",
        "A part of the product is missing, doubled, bent or melted into another.",
        weight=3.0,
    ),
    ReasonCode(
        7,
        "product",
        "Wrong product or attribute",
        "It is another product than the prompt names, or has another colour, pattern or cut.",
        weight=3.0,
    ),
    ReasonCode(
        8,
        "text",
        "Text or watermark",
        "Letters, a logo or a watermark are in the picture that nobody asked for.",
        weight=3.0,
    ),
    ReasonCode(9, OTHER, "Other", "Something else makes it unfit; the note says what."),
)

CODES: Mapping[str, ReasonCode] = {one.code: one for one in REASONS}

_OF_FINDING: Mapping[str, str] = {
    kind: code
    for code, kinds in {
        "blur": ("blur", "blur_effect", "detail", "motion_blur"),
        "noise": (
            "banding",
            "jpeg_blocks",
            "noise",
            "posterisation",
            "ringing",
            "speckles",
            "tile_seam",
            "upsampling_grid",
        ),
        "colour": ("clipping", "colour_cast", "saturation"),
        "framing": ("border_crop", "centring", "frame_contact", "occupancy"),
        "background": ("background",),
        "part": ("anomaly", "blank", "local_artifact"),
        "product": (
            "attribute_margin",
            "clip_similarity",
            "colour_match",
            "colour_class",
            "diffusion_margin",
            "garment_margin",
            "garment_class",
            "garment_rank",
            "unusual_colour",
        ),
        "text": ("text", "watermark"),
        OTHER: (
            "exact_duplicate",
            "joint_p",
            "memorisation",
            "missing_score",
            "near_duplicate",
            "non_finite",
            "screening",
        ),
    }.items()
    for kind in kinds
}

_OF_CORRUPTION: Mapping[str, str] = {
    name: code
    for code, names in {
        "blur": ("gaussian_blur", "motion_blur"),
        "noise": ("checker_2", "gaussian_noise", "grid_8", "jpeg", "posterise", "seam"),
        "colour": ("channel_gain", "contrast_down", "contrast_up", "oversaturation"),
        "framing": ("crop",),
        "background": ("background_darkened",),
        "part": ("cut_paste", "duplicated_part", "missing_part", "smear", "swirl", "warp"),
        "product": ("recolour", "wrong_colour", "wrong_product"),
        "text": ("text_overlay", "watermark"),
    }.items()
    for name in names
}


def code_of_finding(kind: str) -> str:
    """The code of a finding's kind (a detector's or a rule's name); `other` for one that the list does not know."""
    return _OF_FINDING.get(kind, OTHER)


def weight_of(code: str) -> float:
    """What it costs to let a picture of this code out; 1 for one that the list does not know."""
    return CODES[code].weight if code in CODES else 1.0


def is_critical(code: str) -> bool:
    return code in CODES and CODES[code].critical


def code_of_corruption(name: str) -> str:
    """The code that a reviewer is expected to give to a planted defect."""
    return _OF_CORRUPTION.get(name, OTHER)


def reason_problems(*, choice: str, code: str, note: str) -> list[str]:
    """What is wrong with an answer's reason, one sentence each; empty when all is well."""
    known = ", ".join(CODES)
    found = []
    if choice == "reject" and not code:
        found.append(f"code: a reject must say why (got none). Cure: one of {known}.")
    if code and code not in CODES:
        found.append(f"code: must be one of {known} (got {code[:40]!r}). Cure: one of these.")
    if code == OTHER and choice == "reject" and not note.strip():
        found.append("note: the code other must say what it is (got an empty note). Cure: a few words.")
    if len(note) > NOTE_LENGTH:
        found.append(f"note: must have at most {NOTE_LENGTH:,} characters (got {len(note):,}). Cure: shorten it.")
    return found
