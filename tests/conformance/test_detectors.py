"""What every detector must do, found by registry: a new file in `qc/detectors` is tested without a line here."""

from functools import cache

import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.models.find import resolve_model
from qcgen.qc.phash import phash
from qcgen.qc.protocol import Batch, Detector, Scores, TileLines
from qcgen.qc.references import References, pack
from qcgen.qc.registry import find_detectors
from qcgen.qc.settings import Settings
from tests.randomclip import RandomClip

DETECTORS = sorted(find_detectors().items())
VOCABULARY = {"product": ("dress", "hat", "shirt"), "colour": ("red", "blue", "grey")}
ACCEPTED = F.normalize(torch.randn(8, 32, generator=torch.Generator().manual_seed(12)), dim=1)


@pytest.fixture(scope="module")
def encoder() -> RandomClip:
    return RandomClip()


def _pictures(side: int = 128) -> UInt8[Tensor, "b 3 h w"]:
    """Smooth blobs of colour with texture, an object in the middle, one flat picture, one of noise."""
    generator = torch.Generator().manual_seed(11)
    smooth = F.interpolate(torch.rand(6, 3, 6, 6, generator=generator), size=(side, side), mode="bicubic")
    smooth[1:4, :, side // 4 : -side // 4, side // 3 : -side // 3] = torch.rand(3, 3, 1, 1, generator=generator)
    smooth[4] = 0.5
    smooth[5] = torch.rand(3, side, side, generator=generator)
    noise = 0.02 * torch.randn(6, 3, side, side, generator=generator)
    noise[4] = 0
    return ((smooth + noise).clamp(0, 1) * 255).round().to(torch.uint8)


def _batch(images: UInt8[Tensor, "b 3 h w"], encoder: RandomClip, order: list[int] | None = None) -> Batch:
    order = list(range(len(images))) if order is None else order
    fields = [{"product": VOCABULARY["product"][i % 3], "colour": VOCABULARY["colour"][i % 3]} for i in order]
    prompts = [f"a photo of a {one['colour']} {one['product']}" for one in fields]
    lines = TileLines(rows=(images.shape[2] // 2,), columns=(images.shape[3] // 2,))
    return Batch(
        images[order], prompts, fields, encoder, VOCABULARY, tile_lines=lines, accepted=ACCEPTED, settings=_settings()
    )


@cache
def _settings() -> Settings:
    """Something for every key that a profile may have."""
    references = References(("a", "b"), pack(phash(_pictures(64)[:2].flip(-1))), sha256="")
    return Settings(
        attributes={"colour": "{} cloth"},
        unwanted=("a gun", "a knife"),
        wanted=("a dress",),
        references=references,
        teacher=resolve_model("embedded:teacher-apparel"),
        classifier=resolve_model("embedded:classifier-apparel"),
    )


def _check(scores: Scores, detector: Detector, n: int) -> None:
    low, high = detector.range
    assert scores.values.shape == (n,)
    assert scores.values.dtype == torch.float64
    assert scores.values.device.type == "cpu"
    assert len(scores.reasons) == n
    assert len(scores.evidence) in (0, n)
    assert all(isinstance(text, str) for one in scores.evidence for pair in one.items() for text in pair)
    assert bool(torch.isfinite(scores.values).all())
    for value, reason in zip(scores.values.tolist(), scores.reasons, strict=True):
        assert value == 0 if reason else low <= value <= high
        assert reason is None or reason.isidentifier()


@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_values_are_in_range_and_most_pictures_have_one(name: str, detector: Detector, encoder: RandomClip) -> None:
    scores = detector.score(_batch(_pictures(), encoder))
    _check(scores, detector, 6)
    assert detector.name == name
    if set(scores.reasons) == {"not_installed"}:
        pytest.skip(f"NOT TESTED: {name} needs a package that is not installed (pyproject.toml, optional-dependencies)")
    assert sum(reason is None for reason in scores.reasons) >= 4


@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_a_batch_scores_as_its_pictures_do_alone(name: str, detector: Detector, encoder: RandomClip) -> None:
    images = _pictures()
    together = detector.score(_batch(images, encoder))
    for i in range(len(images)):
        alone = detector.score(_batch(images, encoder, [i]))
        assert alone.reasons[0] == together.reasons[i]
        # float32 convolutions and matrix products round differently for another batch size.
        assert float(alone.values[0]) == pytest.approx(float(together.values[i]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_order_changes_nothing(name: str, detector: Detector, encoder: RandomClip) -> None:
    images, order = _pictures(), [3, 0, 5, 2, 4, 1]
    straight = detector.score(_batch(images, encoder))
    shuffled = detector.score(_batch(images, encoder, order))
    torch.testing.assert_close(shuffled.values, straight.values[order], rtol=1e-4, atol=1e-5)
    assert shuffled.reasons == tuple(straight.reasons[i] for i in order)
    assert shuffled.evidence == tuple(straight.evidence[i] for i in order if straight.evidence)


@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_the_same_batch_gives_the_same_bits(name: str, detector: Detector, encoder: RandomClip) -> None:
    first, second = (detector.score(_batch(_pictures(), encoder)) for _ in range(2))
    assert torch.equal(first.values, second.values)
    assert first.reasons == second.reasons


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (9, 9), (17, 33), (64, 64), (96, 130)])
@pytest.mark.parametrize("kind", ["grey", "black", "white", "one_bright_pixel", "noise", "checker"])
@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_odd_pictures_never_raise(
    name: str, detector: Detector, kind: str, size: tuple[int, int], encoder: RandomClip
) -> None:
    _check(detector.score(_batch(_odd(kind, *size), encoder)), detector, 2)


def _odd(kind: str, height: int, width: int) -> UInt8[Tensor, "b 3 h w"]:
    levels = {"grey": 128, "black": 0, "white": 255, "one_bright_pixel": 0, "noise": 0, "checker": 0}
    images = torch.full((2, 3, height, width), levels[kind], dtype=torch.uint8)
    if kind == "one_bright_pixel":
        images[:, :, 0, 0] = 255
    elif kind == "noise":
        images = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    elif kind == "checker":
        lattice = (torch.arange(height)[:, None] + torch.arange(width)) % 2
        images = (255 * lattice).to(torch.uint8).expand(2, 3, height, width).contiguous()
    return images


@pytest.mark.parametrize(("name", "detector"), DETECTORS)
def test_without_encoder_fields_and_vocabulary_nothing_raises(name: str, detector: Detector) -> None:
    images = _pictures()
    _check(detector.score(Batch(images, [""] * 6, [{}] * 6)), detector, 6)
