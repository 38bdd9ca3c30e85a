"""Planted defects on held-out real photos: how well each detector tells spoiled pictures from clean ones.

Limits come from training rows, clean and spoiled pictures from held-out rows, so nothing is judged by itself. The
floors leave about three standard errors (100 spoiled pictures) under what was measured; `pytest -s` prints the table.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import torch
from scipy.stats import rankdata
from torch.nn import functional as F

from benchmarks.cloth_colours import learn
from qcgen.data.imageset import ImageSet, read_image_set
from qcgen.qc.clothcolours import CLOTH
from qcgen.qc.colour import NAMES, name_codes
from qcgen.qc.corruption import corrupt
from qcgen.qc.evidence import Explainer
from qcgen.qc.foreground import find_clusters
from qcgen.qc.planes import Planes
from qcgen.qc.policy import load_policy
from qcgen.qc.protocol import Batch
from qcgen.qc.registry import find_corruptions, find_detectors
from tests.qc import defects

Values = npt.NDArray[np.float64]
_REFERENCE, _CLEAN, _SPOILED = 500, 200, 100
_ALPHA = 0.02


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> ImageSet:
    return read_image_set(shared_data / "clothing128" / "clothing128.npz")


@pytest.fixture(scope="module")
def parts(photos: ImageSet) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(20261123)
    training = rng.permutation(photos.rows(held_out=False))[:_REFERENCE]
    held_out = rng.permutation(photos.rows(held_out=True))[: _CLEAN + _SPOILED]
    clean, spoiled = held_out[:_CLEAN], held_out[_CLEAN:]
    return photos.images[training], photos.images[clean], photos.images[spoiled]


def _badness(detector: str, images: torch.Tensor) -> Values:
    """Values with higher meaning worse; a picture without a value cannot be flagged and counts as the best."""
    chosen = find_detectors()[detector]
    found: list[float] = []
    for start in range(0, len(images), 50):
        part = images[start : start + 50]
        scores = chosen.score(Batch(part, [""] * len(part), [{}] * len(part)))
        pairs = zip(scores.values.tolist(), scores.reasons, strict=True)
        found += [value if reason is None else -np.inf for value, reason in pairs]
    assert not chosen.higher_is_better
    return np.array(found)


def _auroc(clean: Values, spoiled: Values) -> float:
    ranks = rankdata(np.concatenate([clean, spoiled]))
    n, m = len(clean), len(spoiled)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


# Per severity 1, 3 and 5: least AUROC, then least recall at the 2 % conformal limit.
_FLOORS = [
    ("blank", defects.fade, (0.97, 0.99, 0.99), (0.90, 0.97, 0.97)),
    # Sigma 0.6 px is at the edge of what a person sees at 128 px.
    ("blur", defects.blur, (0.83, 0.98, 0.99), (0.35, 0.95, 0.97)),
    # Two codes of noise hide in the grain of phone photos: order is still right, the limit is not reached.
    ("noise", defects.noise, (0.90, 0.98, 0.99), (0.0, 0.90, 0.95)),
    ("clipping", defects.contrast, (0.80, 0.95, 0.98), (0.15, 0.85, 0.95)),
    # Coloured sheets are the ground of many photos, so a tint alone rarely stands out: a hint, not a gate.
    ("colour_cast", defects.cast, (0.45, 0.74, 0.88), (0.0, 0.0, 0.08)),
    # Garments of the ground's colour and garments that fill the frame by right are in the clean set.
    ("border_crop", defects.crop, (0.62, 0.84, 0.88), (0.0, 0.08, 0.20)),
    ("upsampling_grid", defects.grid_2, (0.92, 0.98, 0.99), (0.55, 0.95, 0.97)),
    ("upsampling_grid", defects.grid_8, (0.90, 0.99, 0.99), (0.60, 0.97, 0.97)),
]


@pytest.mark.parametrize(
    ("detector", "defect", "least_auroc", "least_recall"),
    _FLOORS,
    ids=[f"{detector}-{defect.__name__}" for detector, defect, *_ in _FLOORS],
)
def test_planted_defects_are_found(
    detector: str,
    defect: Callable[[torch.Tensor, int], torch.Tensor],
    least_auroc: tuple[float, float, float],
    least_recall: tuple[float, float, float],
    parts: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    training, clean_images, to_spoil = parts
    reference = np.sort(_badness(detector, training))
    limit = reference[int(np.ceil((len(reference) + 1) * (1 - _ALPHA))) - 1]
    clean = _badness(detector, clean_images)
    spoiled = [_badness(detector, defect(to_spoil, severity)) for severity in (1, 3, 5)]
    aurocs = [_auroc(clean, values) for values in spoiled]
    recalls = [float((values > limit).mean()) for values in spoiled]
    false = float((clean > limit).mean())
    print(
        f"\n{detector:16s} {defect.__name__:9s} AUROC " + " ".join(f"{value:.3f}" for value in aurocs),
        "recall " + " ".join(f"{value:.2f}" for value in recalls),
        f"clean flagged {false:.3f} limit {limit:.3f}",
    )
    assert all(value >= least for value, least in zip(aurocs, least_auroc, strict=True))
    assert all(value >= least for value, least in zip(recalls, least_recall, strict=True))
    # 2 % of 200 with a limit from 500: 99.9 % of draws stay below 13.
    assert false <= 0.065


def test_colour_names_agree_with_the_labels_of_clear_photos(photos: ImageSet) -> None:
    rows = np.flatnonzero(photos.held_out.numpy() & (photos.colour_share >= 0.6))
    colours = find_clusters(Planes(photos.images[torch.from_numpy(rows)])).colour()
    named = [NAMES[code] for code in name_codes(colours).tolist()]
    agree = np.mean([photos.colours[row] == name for row, name in zip(rows, named, strict=True)])
    print(f"\ncolour names agree on {agree:.3f} of {len(rows)}")
    # Measured 0.89; the labels are a machine's too, and grey beside white or black is a matter of exposure.
    assert agree >= 0.84


def test_a_wrong_colour_is_told_from_the_right_one(photos: ImageSet) -> None:
    rows = np.flatnonzero(photos.held_out.numpy() & (photos.colour_share >= 0.6))
    images = photos.images[torch.from_numpy(rows)]
    right = [photos.colours[row] for row in rows]
    wrong = list(np.random.default_rng(1).permutation(right))
    differ = np.array([a != b for a, b in zip(right, wrong, strict=True)])
    detector = find_detectors()["colour_match"]
    of_right, of_wrong = (
        detector.score(Batch(images, [""] * len(rows), [{"colour": str(name)} for name in names])).values.numpy()
        for names in (right, wrong)
    )
    auroc = _auroc(of_right, of_wrong[differ])
    recall = float((of_wrong[differ] > np.quantile(of_right, 0.98)).mean())
    print(f"\ncolour_match, labels swapped: AUROC {auroc:.3f} recall at 2 % {recall:.2f}")
    # Swaps fall between neighbours (grey for white) as often as between opposites.
    assert auroc >= 0.95
    assert recall >= 0.80


def test_a_recoloured_garment_is_told_from_its_own_colours(photos: ImageSet) -> None:
    rows = np.random.default_rng(2).permutation(photos.rows(held_out=True))[:240].tolist()
    clean, spoiled = rows[:120], rows[120:]
    recolour = find_corruptions()["recolour"]
    moved = [corrupt(recolour, photos.images[row], key=photos.ids[row], severity=3).image for row in spoiled]
    detector = find_detectors()["unusual_colour"]
    of_clean, of_spoiled = (
        detector.score(
            Batch(images, [""] * len(images), [{"colour": photos.colours[row]} for row in chosen])
        ).values.numpy()
        for images, chosen in ((photos.images[clean], clean), (torch.stack(moved), spoiled))
    )
    auroc = _auroc(of_clean, of_spoiled)
    print(f"\nunusual_colour, 25 delta E away: AUROC {auroc:.3f}")
    # Measured 0.966 on all held-out photos.
    assert auroc >= 0.93
    assert float((of_clean > 0).mean()) <= 0.10


def test_faint_letters_laid_over_a_photo_are_found_and_pointed_at(
    parts: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    _, clean, to_spoil = parts
    corruption, detector = find_corruptions()["watermark"], find_detectors()["watermark"]
    marked = [corrupt(corruption, image, key=str(i), severity=3) for i, image in enumerate(to_spoil)]
    images = torch.stack([one.image for one in marked])
    auroc = _auroc(_badness("watermark", clean), _badness("watermark", images))
    batch, hits = Batch(images, [""] * len(images), [{}] * len(images)), 0
    assert isinstance(detector, Explainer)
    for i, one in enumerate(marked[:40]):
        shown = detector.explain(batch, i).heat
        assert shown is not None
        assert one.mask is not None
        near = F.max_pool2d(one.mask[None].float(), 9, 1, 4)[0]
        row, column = divmod(int(torch.as_tensor(shown.values).argmax()), shown.values.shape[1])
        scale = near.shape[0] / shown.values.shape[0]
        hits += int(near[int(row * scale), int(column * scale)] > 0)
    print(f"\nwatermark, 25 % opaque: AUROC {auroc:.3f}, points at the letters in {hits} of 40")
    # Measured .990 on 200 held-out photos, and .93.
    assert auroc >= 0.96
    assert hits >= 30


def test_the_table_of_cloth_colours_is_what_the_training_photos_give(photos: ImageSet) -> None:
    rare = {"orange", "teal", "yellow"}
    rows = [row for row in photos.rows(held_out=False).tolist() if photos.colours[row] in rare]
    learned = learn(photos.images[rows], [photos.colours[row] for row in rows])
    assert set(learned) == rare
    for name, cloth in learned.items():
        assert cloth.mean == pytest.approx(CLOTH[name].mean, abs=0.11)
        assert cloth.spread == pytest.approx(CLOTH[name].spread, abs=0.11)


def test_clean_photos_of_another_kind_are_mostly_let_pass_by_the_limits(shared_data: Path) -> None:
    paths = sorted((shared_data / "qc-photos" / "images").rglob("*.*"))[::3]
    images = torch.stack([_square(path) for path in paths])
    rules = {rule.detector: rule for rule in load_policy("apparel").rules}
    shares = {}
    for name in ("blank", "blur", "noise", "clipping", "colour_cast", "border_crop", "upsampling_grid"):
        rule = rules[name]
        limits = [limit for limit in (rule.limit, rule.floor) if limit is not None]
        shares[name] = float((_badness(name, images) > max(limits)).mean())
    print("\nflagged of", len(paths), "other clean photos:", {name: round(share, 3) for name, share in shares.items()})
    # Groceries and waste before any ground: border and clipping are not theirs to be judged by (out of the profile).
    assert max(shares[name] for name in ("blank", "blur", "upsampling_grid")) <= 0.10


def _square(path: Path) -> torch.Tensor:
    with PIL.Image.open(path) as picture:
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        cut = picture.convert("RGB").crop((left, top, left + side, top + side))
        small = cut.resize((128, 128), PIL.Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)
