"""Runs that never happened: rows with plausible numbers and small drawn pictures, the same for the same seed."""

import hashlib
import io
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

from qcgen.core.types import Finding, Outcome, Row, RunInfo, Severity

PRODUCTS = ("t-shirt", "dress", "shoes", "hat", "blazer", "skirt", "shorts", "longsleeve", "hoodie", "polo")
COLOURS = {
    "black": (40, 40, 44), "white": (235, 235, 235), "red": (190, 45, 45), "blue": (50, 85, 170),
    "green": (60, 130, 80), "yellow": (225, 195, 70), "pink": (225, 150, 175), "grey": (140, 142, 146),
}  # fmt: skip
# detector: (mean, sd, limit, values must be at least the limit)
DETECTORS = {
    "clip_similarity": (0.31, 0.022, 0.255, True),
    "garment_margin": (2.4, 0.9, 0.35, True),
    "colour_match": (9.0, 4.2, 22.0, False),
    "sharpness": (0.42, 0.07, 0.24, True),
    "noise": (1.9, 0.5, 3.6, False),
    "clipping": (0.012, 0.009, 0.045, False),
    "border_crop": (0.02, 0.016, 0.07, False),
}
MESSAGES = {
    "clip_similarity": "The picture fits its prompt less than accepted pictures do",
    "garment_margin": "Another garment fits the picture about as well",
    "colour_match": "The colour is far from the one asked for",
    "sharpness": "Softer than accepted pictures",
    "noise": "More noise than in accepted pictures",
    "clipping": "Too many burnt-out or black pixels",
    "border_crop": "The garment touches the border",
}


@dataclass(frozen=True)
class Synthetic:
    """A run with its rows; `everything` holds superseded attempts too."""

    run: RunInfo
    rows: tuple[Row, ...]
    everything: tuple[Row, ...]


def make_run(items: int, *, run_id: str = "0198c0de-nightly", **changes: object) -> RunInfo:
    spec = {
        "version": 1, "name": "nightly-apparel", "model": "embedded:apparel", "purpose": "commercial",
        "items": {"table": "items/autumn.csv", "prompt": "a photo of a {colour} {product}", "seed": 20261123},
        "qc": {"profile": "apparel", "retry": {"max_attempts": 3}},
        "governance": {"c2pa": "none", "xmp": True, "watermark": "none"},
    }  # fmt: skip
    facts: dict[str, object] = {
        "run_id": run_id,
        "name": "nightly-apparel",
        "status": "done",
        "purpose": "commercial",
        "job_path": "jobs/nightly-apparel.yaml",
        "spec_sha256": hashlib.sha256(json.dumps(spec).encode()).hexdigest(),
        "spec_json": json.dumps(spec),
        "model": "embedded:apparel",
        "model_digest": "5f1c" * 16,
        "policy_sha256": "9ab0" * 16,
        "planned": items,
        "out_dir": "out/nightly-apparel",
        "started_at": "2026-11-23T01:00:00Z",
        "ended_at": "2026-11-23T01:01:20Z",
        "seconds": 80.5,
        "seconds_by_stage": {"generate": 41.2, "decode": 12.7, "score": 15.9, "encode": 6.1, "store": 1.4},
        "environment": {"python": "3.11.7", "torch": "2.13.0", "device": "cpu", "threads": "2"},
        "gates": (
            Finding("licence", Severity.INFO, "The licences of the model and its teachers allow commercial use."),
            Finding("flag_rate", Severity.INFO, "The share of flagged images is under its limit.", 0.043, 0.08),
        ),
        "report": None,
    }
    return RunInfo(**{**facts, **changes})  # type: ignore[arg-type]


def make_rows(
    items: int, *, seed: int = 1, pictures: Sequence[bytes] | None = None, hard_colour: str = "yellow"
) -> Iterator[Row]:
    """Every attempt in order: about 10 % rejected at first, 2 % to the end, 4 % flagged, 1 % failed."""
    chance = random.Random(seed)
    for index in range(items):
        product, colour = PRODUCTS[index % len(PRODUCTS)], list(COLOURS)[index // len(PRODUCTS) % len(COLOURS)]
        for attempt in range(1, 4):
            again = chance.random() < (0.45 if attempt > 1 else 0.3 if colour == hard_colour else 0.08)
            row = make_row(index, attempt, product, colour, chance, rejected=again, pictures=pictures)
            standing = attempt == 3 or row.outcome is not Outcome.REJECT
            yield _stand(row, standing)
            if standing:
                break


def make_row(
    index: int,
    attempt: int,
    product: str,
    colour: str,
    chance: random.Random,
    *,
    rejected: bool,
    pictures: Sequence[bytes] | None = None,
) -> Row:
    key = hashlib.blake2b(f"{index}/{attempt}/{product}/{colour}".encode(), digest_size=16).hexdigest()
    sku = f"{product[:2].upper()}-{1000 + index // 4}"
    if chance.random() < 0.01:
        return _row(
            index,
            attempt,
            key,
            sku,
            product,
            colour,
            Outcome.FAILED,
            (),
            {},
            chance,
            error="The model returned NaN twice.",
        )
    flagged = not rejected and chance.random() < 0.045
    bad = chance.choices(list(DETECTORS), weights=(9, 14, 22, 5, 2, 3, 7))[0] if rejected or flagged else None
    measures = {name: chance.gauss(mean, sd) for name, (mean, sd, _, _) in DETECTORS.items()}
    for name, (_, sd, limit, least) in DETECTORS.items():
        over = (0.1 + abs(chance.gauss(0, 1.2 if rejected else 0.4))) * sd
        inside = max(measures[name], limit + 0.02 * sd) if least else min(measures[name], limit - 0.02 * sd)
        measures[name] = (limit - over if least else limit + over) if name == bad else inside
    reasons = []
    if bad is not None:
        limit, least = DETECTORS[bad][2:]
        side = "at least" if least else "at most"
        message = f"{MESSAGES[bad]}: {measures[bad]:.3g}, {side} {limit:g} expected."
        reasons.append(Finding(bad, Severity.BLOCK if rejected else Severity.WARN, message, measures[bad], limit))
    outcome = Outcome.REJECT if rejected else Outcome.REVIEW if flagged else Outcome.ACCEPT
    picture = pictures[index % len(pictures)] if pictures else draw(product, COLOURS[colour], chance.random())
    return _row(index, attempt, key, sku, product, colour, outcome, tuple(reasons), measures, chance, picture=picture)


def draw(product: str, colour: tuple[int, int, int], wobble: float, size_px: int = 128) -> bytes:
    """A garment-like shape on light grey, WebP."""
    size = 128
    image = PIL.Image.new("RGB", (size, size), (242, 242, 240))
    pen = PIL.ImageDraw.Draw(image)
    wide = {"dress": 34, "skirt": 40, "shorts": 36, "hat": 44, "shoes": 46}.get(product, 30) + int(6 * wobble)
    middle, top = size // 2, 22 + int(8 * wobble)
    dark = tuple(int(0.75 * part) for part in colour)
    if product == "hat":
        pen.ellipse((middle - 26, 40, middle + 26, 88), fill=colour)
        pen.ellipse((middle - wide, 72, middle + wide, 92), fill=dark)
    elif product == "shoes":
        for left in (middle - wide, middle + 6):
            pen.rounded_rectangle((left, 52, left + 38, 84), 14, fill=colour)
            pen.rectangle((left, 80, left + 40, 88), fill=dark)
    elif product in ("shorts", "skirt", "dress"):
        pen.polygon(
            [(middle - 20, top + 8), (middle + 20, top + 8), (middle + wide, 104), (middle - wide, 104)], fill=colour
        )
        pen.line((middle, top + 30, middle, 104), fill=dark, width=2)
    else:
        pen.rounded_rectangle((middle - wide, top, middle + wide, 104), 8, fill=colour)
        length = 62 if product in ("longsleeve", "hoodie", "blazer") else 30
        for side in (-1, 1):
            start = middle + side * (wide - 4)
            pen.polygon(
                [
                    (start, top),
                    (start + side * 22, top + length),
                    (start + side * 10, top + length + 4),
                    (start, top + 26),
                ],
                fill=dark,
            )
    out = io.BytesIO()
    image.resize((size_px, size_px)).save(out, "WEBP", quality=70)
    return out.getvalue()


def thumbnails(amount: int, size_px: int = 96) -> list[bytes]:
    """Different drawn garments, as the engine would hand them over."""
    chance = random.Random(7)
    colours = list(COLOURS.values())
    return [draw(PRODUCTS[n % len(PRODUCTS)], colours[n // 10 % 8], chance.random(), size_px) for n in range(amount)]


def photos(amount: int, size_px: int = 96) -> list[bytes]:
    """Real garment photos as thumbnails; empty without the data folder beside the repository."""
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "clothing128" / "clothing128.npz"
    if not path.is_file():
        return []
    with np.load(path) as archive:
        offsets, data = archive["offsets"], archive["webp"].tobytes()
    made = []
    for start, stop in itertools.pairwise(offsets):
        out = io.BytesIO()
        photo = PIL.Image.open(io.BytesIO(data[start:stop])).convert("RGB")
        photo.resize((size_px, size_px)).save(out, "WEBP", quality=75)
        made.append(out.getvalue())
    return made


def make_synthetic(
    items: int, *, seed: int = 1, pictures: Sequence[bytes] | None = None, **changes: object
) -> Synthetic:
    everything = tuple(make_rows(items, seed=seed, pictures=pictures))
    return Synthetic(make_run(items, **changes), tuple(row for row in everything if row.current), everything)  # type: ignore[arg-type]


def save_images(rows: Sequence[Row], root: Path, size: int = 256) -> None:
    """Write each row's full picture where its relpath says."""
    for row in rows:
        if row.relpath is not None and row.thumbnail is not None:
            path = root / row.relpath
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.open(io.BytesIO(row.thumbnail)).resize((size, size), PIL.Image.Resampling.BICUBIC).save(path)


def _row(
    index: int,
    attempt: int,
    key: str,
    sku: str,
    product: str,
    colour: str,
    outcome: Outcome,
    reasons: tuple[Finding, ...],
    measures: dict[str, float],
    chance: random.Random,
    *,
    error: str | None = None,
    picture: bytes | None = None,
) -> Row:
    made = error is None
    seed = chance.randrange(2**32)
    unscored = {"garment_margin": "no_foreground"} if made and not reasons and chance.random() < 0.02 else {}
    return Row(
        item_index=index,
        image_id=key,
        sku=sku,
        prompt=f"a photo of a {colour} {product}",
        fields={"sku": sku, "product": product, "colour": colour},
        seed=seed,
        attempt=attempt,
        current=True,
        outcome=outcome,
        reasons=reasons,
        joint_p=None if not made else chance.uniform(0.0001, 0.01) if reasons else chance.uniform(0.02, 1),
        decision=None,
        error=error,
        relpath=f"images/{sku}/{key}-{seed}.png" if made else None,
        file_sha256=hashlib.sha256(key.encode()).hexdigest() if made else None,
        bytes=18_000 if made else 0,
        width=128 if made else 0,
        height=128 if made else 0,
        gen_s=0.03,
        measures={name: value for name, value in measures.items() if name not in unscored},
        unscored=unscored,
        thumbnail=picture,
    )


def _stand(row: Row, current: bool) -> Row:
    return replace(row, current=current)
