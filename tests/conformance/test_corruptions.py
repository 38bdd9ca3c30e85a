"""What every corruption must do, found by registry: a new file in `qc/corruptions` is tested without a line here."""

import itertools

import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import SEVERITIES, Corruption, corrupt
from qcgen.qc.registry import find_corruptions

CORRUPTIONS = sorted(find_corruptions().items())
_SIZES = [(96, 96), (64, 100), (133, 75)]


def _pictures(height: int = 96, width: int = 96, count: int = 8) -> list[UInt8[Tensor, "3 h w"]]:
    """A coloured thing with texture on a light ground, each another."""
    generator = torch.Generator().manual_seed(5)
    found = []
    for _ in range(count):
        ground = torch.full((3, height, width), 0.85) + 0.02 * torch.randn(3, 1, 1, generator=generator)
        rough = torch.rand(1, 3, 8, 8, generator=generator)
        thing = F.interpolate(rough, size=(height, width), mode="bicubic", align_corners=False)[0]
        colour = torch.rand(3, 1, 1, generator=generator)
        thing = 0.5 * thing + 0.5 * colour
        down = (torch.arange(height)[:, None] - height / 2).abs() / height
        across = (torch.arange(width)[None, :] - width / 2).abs() / width
        inside = torch.maximum(down, across) < 0.36
        values = torch.where(inside, thing, ground) + 0.01 * torch.randn(3, height, width, generator=generator)
        found.append((255 * values.clamp(0, 1)).round().to(torch.uint8))
    return found


def _distance(corruption: Corruption, severity: int) -> float:
    """Mean absolute change in codes over a few pictures."""
    changes = [
        (corrupt(corruption, image, key=str(i), severity=severity).image.float() - image.float()).abs().mean()
        for i, image in enumerate(_pictures())
    ]
    return float(torch.stack(changes).mean())


@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_the_class_says_what_it_is(name: str, corruption: Corruption) -> None:
    assert corruption.name == name
    assert name.isidentifier()
    assert corruption.unit
    assert len(corruption.parameters) == len(SEVERITIES)
    ordered = sorted(corruption.parameters)
    assert list(corruption.parameters) in (ordered, ordered[::-1])
    assert len(set(ordered)) == len(ordered)


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_the_size_stays_and_the_mask_covers_every_change(
    name: str, corruption: Corruption, size: tuple[int, int]
) -> None:
    for i, image in enumerate(_pictures(*size, count=3)):
        before = image.clone()
        for severity in SEVERITIES:
            spoiled = corrupt(corruption, image, key=str(i), severity=severity)
            assert spoiled.image.dtype == torch.uint8
            assert spoiled.image.shape == image.shape
            assert torch.equal(image, before), "the clean picture was written to"
            changed = (spoiled.image != image).any(0)
            assert bool(changed.any())
            assert (spoiled.mask is not None) == corruption.local
            if spoiled.mask is not None:
                assert bool((spoiled.mask | ~changed).all())
                assert not bool(spoiled.mask.all())


@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_the_same_picture_and_severity_give_the_same_bytes(name: str, corruption: Corruption) -> None:
    image = _pictures(count=1)[0]
    for severity in SEVERITIES:
        first, second = (corrupt(corruption, image, key="a", severity=severity) for _ in range(2))
        assert torch.equal(first.image, second.image)
        assert first.mask is None or (second.mask is not None and torch.equal(first.mask, second.mask))


@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_a_higher_severity_is_farther_from_the_clean_picture(name: str, corruption: Corruption) -> None:
    distances = [_distance(corruption, severity) for severity in SEVERITIES]
    assert distances[0] > 0
    # A picture that is cut to its middle is soon as far as it can be: a fortieth less is the draw of eight pictures.
    assert all(mild < 1.025 * strong for mild, strong in itertools.pairwise(distances)), distances
    assert distances[0] < distances[2] < 1.025 * distances[4]


@pytest.mark.parametrize("severity", [0, 6])
@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_there_is_no_severity_0_and_none_above_5(name: str, corruption: Corruption, severity: int) -> None:
    with pytest.raises(ValueError, match="severity"):
        corrupt(corruption, _pictures(count=1)[0], key="a", severity=severity)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize(("name", "corruption"), CORRUPTIONS)
def test_flat_and_small_pictures_raise_nothing(name: str, corruption: Corruption, level: int) -> None:
    for size in ((8, 8), (16, 40), (64, 64)):
        image = torch.full((3, *size), level, dtype=torch.uint8)
        for severity in SEVERITIES:
            assert corrupt(corruption, image, key="flat", severity=severity).image.shape == image.shape
