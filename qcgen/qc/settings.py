"""What a profile asks beyond limits: wordings, attributes, unwanted concepts, reference pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qcgen.core.types import ModelRef
from qcgen.qc.references import References

# Short catalogue phrases. ImageNet's eighty hold "blurry" and "jpeg corrupted", which is wrong for quality control.
TEMPLATES = ("a photo of a {}", "a product photo of a {}", "a {} for sale")


@dataclass(frozen=True, slots=True)
class Settings:
    """Given to every detector with the pictures; the default is what a profile without these keys asks.

    Attributes:
        templates: captions with one `{}`, averaged for each class.
        attributes: the wording, with one `{}`, of each field of the items table that is checked.
        unwanted, wanted: concepts, as captions.
        references: pictures that must not be copied.
        teacher: a multi-step model that judges outlines.
        classifier: a network that tells products and colours.
    """

    templates: tuple[str, ...] = TEMPLATES
    attributes: Mapping[str, str] = field(default_factory=dict)
    unwanted: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    references: References | None = None
    teacher: ModelRef | None = None
    classifier: ModelRef | None = None
