"""Clean pictures of the embedded student, and for each detector the fault that it is made for."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.seeds import item_seed
from qcgen.models.embedded import load_encoder, load_student
from qcgen.models.find import resolve_model
from qcgen.models.protocol import ImageTextEncoder
from qcgen.pipeline.packshots import set_on_white
from qcgen.pipeline.sampling import sample_student
from qcgen.qc.corruption import corrupt
from qcgen.qc.corruptions.seam import TILE_PX
from qcgen.qc.protocol import Batch, TileLines
from qcgen.qc.registry import find_corruptions
from qcgen.qc.settings import Settings

STUDENT, CLIP = "embedded:apparel", "embedded:clip-apparel"
TEACHER, CLASSIFIER = "embedded:teacher-apparel", "embedded:classifier-apparel"
SEED = 20261123
WHOLE = (33, 44, 80, 83, 85, 103, 119, 124)
"""Places of `draw` whose product lies whole on a plain ground: `whitened` keeps them."""
_TABLE = Path(__file__).parent.parent / "jobs" / "items" / "demo.csv"


@dataclass(frozen=True, slots=True)
class Subject:
    """One picture and what was asked for; `mask` is where a local fault was put."""

    key: str
    image: UInt8[Tensor, "3 h w"]
    prompt: str
    fields: Mapping[str, str]
    mask: Tensor | None = None


Spoil = Callable[[Subject], Subject]


@dataclass(frozen=True, slots=True)
class Fault:
    """What a detector is shown. `on_white`: it is about packshots. `told`: in words."""

    told: str
    spoil: Spoil
    on_white: bool = False


def items() -> list[dict[str, str]]:
    """The demo's table, spread: neighbouring rows are one product."""
    with _TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [rows[place * 23 % len(rows)] for place in range(len(rows))]


def vocabulary() -> dict[str, tuple[str, ...]]:
    """Every product and colour of the table."""
    return {name: tuple(dict.fromkeys(row[name] for row in items())) for name in ("product", "colour")}


def draw(places: Sequence[int]) -> list[Subject]:
    """The student's own pictures, the same on every start; `places` count through the table again and again."""
    rows = [items()[place % len(items())] for place in places]
    prompts = [f"a photo of a {row['colour']} {row['product']}" for row in rows]
    sampler = sample_student(load_student(resolve_model(STUDENT), dtype="float32"))
    with torch.inference_mode():
        images = sampler(prompts, [item_seed(SEED, place) for place in places])
    return [
        Subject(f"{place:03d}", image, prompt, row)
        for place, image, prompt, row in zip(places, images, prompts, rows, strict=True)
    ]


def whitened(subjects: Sequence[Subject]) -> list[Subject]:
    """Those whose product can be cut out, on white."""
    cut = [(one, set_on_white(one.image)) for one in subjects]
    return [replace(one, image=image) for one, image in cut if image is not None]


@cache
def encoder() -> ImageTextEncoder:
    return load_encoder(CLIP)


def batch_of(subjects: Sequence[Subject], accepted: Float[Tensor, "n d"] | None = None) -> Batch:
    """With all that a detector may need."""
    images = torch.stack([one.image for one in subjects])
    lines = TileLines.every(TILE_PX, images.shape[2], images.shape[3])
    return Batch(
        images,
        [one.prompt for one in subjects],
        [one.fields for one in subjects],
        encoder(),
        vocabulary(),
        tile_lines=lines,
        accepted=accepted,
        settings=Settings(
            attributes={"colour": "{} garment"}, teacher=resolve_model(TEACHER), classifier=resolve_model(CLASSIFIER)
        ),
    )


def corrupted(name: str, severity: int) -> Spoil:
    def spoil(one: Subject) -> Subject:
        found = corrupt(find_corruptions()[name], one.image, key=one.key, severity=severity)
        return replace(one, image=found.image, mask=found.mask)

    return spoil


def asked(field: str) -> Spoil:
    """The same picture, but another value had been asked for."""

    def spoil(one: Subject) -> Subject:
        values = vocabulary()[field]
        other = values[(values.index(one.fields[field]) + len(values) // 2) % len(values)]
        fields = {**one.fields, field: other}
        return replace(one, fields=fields, prompt=f"a photo of a {fields['colour']} {fields['product']}")

    return spoil


def inverted(one: Subject) -> Subject:
    """The negative."""
    return replace(one, image=255 - one.image)


def low_passed(one: Subject) -> Subject:
    """Without the upper two thirds of its frequencies, cut off at once: every edge rings."""
    spectrum = torch.fft.fft2(one.image.double())
    height, width = one.image.shape[1:]
    keep = (torch.fft.fftfreq(height).abs()[:, None] < 1 / 6) & (torch.fft.fftfreq(width).abs()[None] < 1 / 6)
    return replace(one, image=_codes(torch.fft.ifft2(spectrum * keep).real))


def specked(one: Subject) -> Subject:
    """Eight dark dots of 3 px near the corners of a packshot."""
    image = one.image.clone()
    height, width = image.shape[1:]
    for place in range(8):
        top = (height // 12, 11 * height // 12 - 3)[place % 2] + 2 * (place // 4)
        left = (place // 2 + 1) * width // 5
        image[:, top : top + 3, left : left + 3] = 70
    mask = (image != one.image).any(0)
    return replace(one, image=image, mask=mask)


def shrunk(one: Subject) -> Subject:
    """The packshot at a third of its size, on white."""
    height, width = one.image.shape[1:]
    small = F.interpolate(one.image[None].float(), size=(height // 3, width // 3), mode="bilinear", antialias=True)[0]
    image = torch.full_like(one.image, 255)
    top, left = height // 3, width // 3
    image[:, top : top + small.shape[1], left : left + small.shape[2]] = _codes(small)
    return replace(one, image=image)


def moved(one: Subject) -> Subject:
    """The packshot at half of its size, in the lower right corner."""
    height, width = one.image.shape[1:]
    small = F.interpolate(one.image[None].float(), size=(height // 2, width // 2), mode="bilinear", antialias=True)[0]
    image = torch.full_like(one.image, 255)
    image[:, height - small.shape[1] :, width - small.shape[2] :] = _codes(small)
    return replace(one, image=image)


def _codes(values: Tensor) -> UInt8[Tensor, "3 h w"]:
    return values.round().clamp(0, 255).to(torch.uint8)


FAULTS: Mapping[str, Fault] = {
    "anomaly": Fault("the negative", inverted),
    "attribute_margin": Fault("another colour was asked for", asked("colour")),
    "background": Fault("darkened ground, severity 4", corrupted("background_darkened", 4), on_white=True),
    "banding": Fault("posterised, severity 4", corrupted("posterise", 4)),
    "blank": Fault("contrast taken away, severity 4", corrupted("contrast_down", 4)),
    "blur": Fault("gaussian blur, severity 4", corrupted("gaussian_blur", 4)),
    "blur_effect": Fault("motion blur, severity 4", corrupted("motion_blur", 4)),
    "border_crop": Fault("cropped, severity 4", corrupted("crop", 4)),
    "centring": Fault("half the size, in a corner", moved, on_white=True),
    "clip_similarity": Fault("another product was asked for", asked("product")),
    "clipping": Fault("contrast boosted, severity 4", corrupted("contrast_up", 4)),
    "colour_cast": Fault("one channel weakened, severity 4", corrupted("channel_gain", 4), on_white=True),
    "colour_match": Fault("another colour was asked for", asked("colour")),
    "colour_class": Fault("another colour was asked for", asked("colour")),
    "detail": Fault("gaussian blur, severity 4", corrupted("gaussian_blur", 4)),
    "diffusion_margin": Fault("another product was asked for", asked("product")),
    "frame_contact": Fault("cropped, severity 4", corrupted("crop", 4), on_white=True),
    "garment_margin": Fault("another product was asked for", asked("product")),
    "garment_class": Fault("another product was asked for", asked("product")),
    "garment_rank": Fault("another product was asked for", asked("product")),
    "jpeg_blocks": Fault("JPEG, severity 4", corrupted("jpeg", 4)),
    "local_artifact": Fault("a patch pasted, severity 4", corrupted("cut_paste", 4)),
    "motion_blur": Fault("motion blur, severity 4", corrupted("motion_blur", 4)),
    "noise": Fault("gaussian noise, severity 4", corrupted("gaussian_noise", 4)),
    "occupancy": Fault("a third of the size", shrunk, on_white=True),
    "posterisation": Fault("posterised, severity 4", corrupted("posterise", 4)),
    "ringing": Fault("a low-pass that cuts off at once", low_passed),
    "saturation": Fault("over-saturated, severity 4", corrupted("oversaturation", 4)),
    "speckles": Fault("eight specks of 3 px", specked, on_white=True),
    "text": Fault("eight letters written over it, severity 3", corrupted("text_overlay", 3)),
    "tile_seam": Fault("a seam between two tiles, severity 4", corrupted("seam", 4)),
    "upsampling_grid": Fault("a grid of period 8 px, severity 4", corrupted("grid_8", 4)),
    "unusual_colour": Fault("recoloured, severity 4", corrupted("recolour", 4)),
    "watermark": Fault("large letters laid over it, severity 3", corrupted("watermark", 3)),
}
"""A detector that draws a map must be here; of those that are not, the references and lists are a user's own."""
