"""Known defects for the review queue: spoiled copies of accepted pictures, in their own folder and never delivered."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.core.reasoncodes import code_of_corruption
from qcgen.core.review import Kind, TaskDraft
from qcgen.generate.encode import FORMATS, encode
from qcgen.generate.write import sync_folders, write_file
from qcgen.qc.corruption import corrupt
from qcgen.qc.registry import find_corruptions

FOLDER = "review/seeds"
SEVERITIES = (4, 5)
PLANTED = (
    "background_darkened",
    "channel_gain",
    "contrast_up",
    "crop",
    "cut_paste",
    "gaussian_blur",
    "gaussian_noise",
    "missing_part",
    "motion_blur",
    "oversaturation",
    "recolour",
    "swirl",
    "text_overlay",
    "watermark",
)
"""Of the corruptions those that a person who looks sees at these severities, at 128 px too; what is missed is then the
person's. Fine grids, seams, compression and slight warps lie below that and are the detectors' affair."""
LEAST_CHANGE = 1.0
"""Mean absolute difference in codes below which a plant does not count as one."""


@dataclass(frozen=True, slots=True)
class SeedSource:
    """An accepted picture that a seed may be made from; `shown` tells that the queue holds the picture itself."""

    image_id: str
    stratum: str
    relpath: str
    file_sha256: str
    shown: bool


@dataclass(frozen=True, slots=True)
class MadeSeeds:
    """Tasks of the seeds whose files are durable; `lost` counts pictures that are not in the folder as recorded."""

    drafts: tuple[TaskDraft, ...]
    lost: int


def seeds_for(queue: int, share: float) -> int:
    """So many that they are `share` of the queue with them, at most as many as the rest, and one at least."""
    if not queue or not share:
        return 0
    return max(1, round(queue * share / max(1 - share, 0.5)))


def pick_seeds(run_id: str, sources: Sequence[SeedSource], n: int) -> list[SeedSource]:
    """By lot; pictures that the queue does not hold come first."""
    return sorted(sources, key=lambda one: (one.shown, _digest(run_id, one.image_id)))[:n]


def make_seeds(run_id: str, sources: Sequence[SeedSource], out_dir: Path, image_format: str) -> MadeSeeds:
    """Spoil each source and write it; the same source gives the same file.

    Raises:
        PausedError: the disk is full.
    """
    drafts, lost = [], 0
    for one in sources:
        pixels = _read(out_dir / one.relpath, one.file_sha256)
        if pixels is None:
            lost += 1
        elif (spoiled := _spoil(run_id, one.image_id, pixels)) is not None:
            drafts.append(_write(run_id, one, *spoiled, out_dir, image_format))
    if drafts:
        sync_folders([out_dir / FOLDER, (out_dir / FOLDER).parent, out_dir])
    return MadeSeeds(tuple(drafts), lost)


def _spoil(
    run_id: str, image_id: str, pixels: UInt8[Tensor, "3 h w"]
) -> tuple[str, int, UInt8[Tensor, "3 h w"]] | None:
    """The first corruption, in an order of the picture's own, that leaves a mark on it, with its severity."""
    names = sorted(PLANTED, key=lambda name: _digest(run_id, f"{image_id} {name}"))
    severity = SEVERITIES[_digest(run_id, image_id)[0] % len(SEVERITIES)]
    for name in names:
        image = corrupt(find_corruptions()[name], pixels, key=image_id, severity=severity).image
        if float((image.float() - pixels.float()).abs().mean()) >= LEAST_CHANGE:
            return name, severity, image
    return None


def _write(
    run_id: str,
    source: SeedSource,
    corruption: str,
    severity: int,
    image: UInt8[Tensor, "3 h w"],
    out_dir: Path,
    image_format: str,
) -> TaskDraft:
    # As long as an attempt's id and like it, as it is seen in addresses.
    name = hashlib.blake2b(
        f"seed {run_id} {source.image_id} {corruption} {severity}".encode(), digest_size=16
    ).hexdigest()
    data = encode(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), image_format)
    relpath = f"{FOLDER}/{name}.{FORMATS[image_format]}"
    write_file(out_dir / relpath, data)
    return TaskDraft(
        image_id=name,
        kind=Kind.SEED,
        stratum=source.stratum,
        inclusion_p=1.0,
        cost=0.0,
        code=code_of_corruption(corruption),
        relpath=relpath,
        file_sha256=hashlib.sha256(data).hexdigest(),
        source_id=source.image_id,
    )


def _read(path: Path, sha256: str) -> UInt8[Tensor, "3 h w"] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != sha256:
        return None
    with PIL.Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()


def _digest(run_id: str, name: str) -> bytes:
    return hashlib.sha256(f"{run_id} seed {name}".encode()).digest()
