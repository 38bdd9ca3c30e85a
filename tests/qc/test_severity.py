"""The worse the defect, the worse the score: pixel detectors on twenty real photos."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.protocol import Batch, TileLines
from qcgen.qc.registry import find_detectors
from tests.qc import defects

Images = UInt8[Tensor, "b 3 h w"]
SIDE = 192
_LINES = TileLines(columns=(96,))


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> Images:
    paths = sorted((shared_data / "qc-photos" / "images").glob("clothing_*.jpg"))[::4]
    if len(paths) < 20:
        pytest.skip(f"no photos at {shared_data / 'qc-photos'}")
    return torch.stack([_square(path) for path in paths[:20]])


def _square(path: Path) -> UInt8[Tensor, "3 h w"]:
    """Half the size, so that the file's own JPEG blocks vanish."""
    with PIL.Image.open(path) as picture:
        side = min(picture.size)
        cut = picture.convert("RGB").crop((0, 0, side, side)).resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(cut).copy()).permute(2, 0, 1)


def _motion(images: Images, severity: int) -> Images:
    length = (3, 5, 9, 13, 19)[severity - 1]
    padded = F.pad(images.float(), (length // 2, length // 2, 0, 0), mode="replicate")
    return _to_codes(F.avg_pool2d(padded, (1, length), stride=1))


def _jpeg(images: Images, severity: int) -> Images:
    quality = (60, 40, 25, 15, 8)[severity - 1]
    found = []
    for image in images:
        buffer = io.BytesIO()
        PIL.Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
        found.append(torch.from_numpy(np.asarray(PIL.Image.open(buffer)).copy()).permute(2, 0, 1))
    return torch.stack(found)


def _posterise(images: Images, severity: int) -> Images:
    last = (64, 40, 24, 16, 8)[severity - 1] - 1
    return _to_codes((images.float() * last / 255).round() * 255 / last)


def _bands(images: Images, severity: int) -> Images:
    """What is left of a photo after a wide blur, in ever fewer levels."""
    return _posterise(defects.blur(images, 5), severity)


def _seam(images: Images, severity: int) -> Images:
    shifted = images.float()
    shifted[..., SIDE // 2 :] += (1, 2, 4, 7, 12)[severity - 1]
    return _to_codes(shifted)


def _ripple(images: Images, severity: int) -> Images:
    """A fifth to all of an ideal low-pass at a quarter cycle a pixel, which rings."""
    kept = torch.fft.fftfreq(SIDE).abs() < 0.25
    passed = torch.fft.ifft2(torch.fft.fft2(images.float()) * kept * kept[:, None]).real
    return _to_codes(torch.lerp(images.float(), passed, severity / 5))


def _colourful(images: Images, severity: int) -> Images:
    factor = (1.4, 1.8, 2.5, 3.5, 5.0)[severity - 1]
    values = images.float()
    grey = values.mean(1, keepdim=True)
    return _to_codes(grey + factor * (values - grey))


def _off_white(images: Images, severity: int) -> Images:
    """The photo, smaller, on a ground that falls short of white."""
    ground = 255 - (3, 7, 12, 20, 35)[severity - 1]
    framed = torch.full_like(images, ground)
    framed[:, :, 32:-32, 32:-32] = images[:, :, 32:-32, 32:-32]
    return framed


def _dirt(images: Images, severity: int) -> Images:
    framed = _off_white(images, 1)
    for i in range((1, 2, 4, 8, 15)[severity - 1]):
        framed[:, :, 10 + 11 * i : 14 + 11 * i, 12:16] = 90
    return framed


def _shifted(images: Images, severity: int) -> Images:
    framed = torch.full_like(images, 255)
    right = 48 + (0, 12, 24, 36, 44)[severity - 1]
    framed[:, :, 48:144, right : right + 96] = images[:, :, 48:144, 48:144] // 2
    return framed


def _shrunk(images: Images, severity: int) -> Images:
    framed = torch.full_like(images, 255)
    half = (80, 60, 45, 30, 15)[severity - 1]
    framed[:, :, 96 - half : 96 + half, 96 - half : 96 + half] = 60
    return framed


def _to_codes(values: Tensor) -> Images:
    return values.round().clamp(0, 255).to(torch.uint8)


_CASES = [
    ("background", _off_white),
    ("banding", _bands),
    ("blur_effect", defects.blur),
    ("blur_effect", _motion),
    ("centring", _shifted),
    ("detail", defects.blur),
    ("jpeg_blocks", _jpeg),
    ("motion_blur", _motion),
    ("noise", defects.noise),
    ("occupancy", _shrunk),
    ("posterisation", _posterise),
    ("ringing", _ripple),
    ("saturation", _colourful),
    ("speckles", _dirt),
    ("tile_seam", _seam),
    ("upsampling_grid", defects.grid_2),
    ("upsampling_grid", defects.grid_8),
]


@pytest.mark.parametrize(("name", "defect"), _CASES, ids=[f"{name}-{defect.__name__}" for name, defect in _CASES])
def test_scores_worsen_with_severity(name: str, defect: Callable[[Images, int], Images], photos: Images) -> None:
    badness = torch.stack([_badness(name, defect(photos, severity)) for severity in range(1, 6)])
    medians = badness.median(1).values
    print(f"\n{name:15s} {defect.__name__:10s}", " ".join(f"{value:.3f}" for value in medians.tolist()))
    assert bool((medians.diff() > 0).all())
    assert float((badness[-1] > badness[0]).double().mean()) >= 0.9


def _badness(name: str, images: Images) -> Tensor:
    detector = find_detectors()[name]
    scores = detector.score(Batch(images, [""] * len(images), [{}] * len(images), tile_lines=_LINES))
    assert scores.reasons == (None,) * len(images)
    return -scores.values if detector.higher_is_better else scores.values


PIXEL_DETECTORS = sorted({name for name, _ in _CASES})


@pytest.mark.parametrize("name", PIXEL_DETECTORS)
def test_a_photo_scores_alone_as_it_does_among_others(name: str, photos: Images) -> None:
    detector = find_detectors()[name]

    def scores(part: Images) -> Tensor:
        return detector.score(Batch(part, [""] * len(part), [{}] * len(part), tile_lines=_LINES)).values

    together = scores(photos[:7])
    alone = torch.cat([scores(photos[i : i + 1]) for i in range(7)])
    # Sums and the FFT may be cut into other pieces; slices, sorts and counts give the same bits.
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
