"""Detectors on pictures whose right answer is known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from qcgen.qc.clothcolours import CLOTH, usual_colour
from qcgen.qc.colour import from_lab
from qcgen.qc.detectors.blank import Blank
from qcgen.qc.detectors.blur import Blur
from qcgen.qc.detectors.border_crop import BorderCrop
from qcgen.qc.detectors.clipping import Clipping
from qcgen.qc.detectors.colour_match import ColourMatch
from qcgen.qc.detectors.garment_margin import GarmentMargin
from qcgen.qc.detectors.garment_rank import GarmentRank
from qcgen.qc.detectors.noise import Noise
from qcgen.qc.detectors.unusual_colour import UnusualColour
from qcgen.qc.detectors.upsampling_grid import UpsamplingGrid
from qcgen.qc.protocol import Batch


def _batch(*images: torch.Tensor, **fields: str) -> Batch:
    stacked = torch.stack(images).round().clamp(0, 255).to(torch.uint8)
    return Batch(stacked, ["a photo"] * len(images), [fields] * len(images))


def _flat(level: float, side: int = 128) -> torch.Tensor:
    return torch.full((3, side, side), level)


@pytest.mark.parametrize("sigma", [3.0, 6.0, 12.0])
def test_noise_of_a_flat_grey_picture_is_its_sigma(sigma: float) -> None:
    grain = sigma * torch.randn(128, 128, generator=torch.Generator().manual_seed(2))
    value = float(Noise().score(_batch(_flat(128) + grain)).values[0])
    # The low quantile over tiles of 256 pixels lies about 6 % under the mean.
    assert value == pytest.approx(0.94 * sigma, rel=0.06)


def test_noise_of_a_textured_picture_is_that_of_its_flat_part() -> None:
    rng = torch.Generator().manual_seed(2)
    picture = _flat(128) + 4 * torch.randn(128, 128, generator=rng)
    picture[:, 32:] += 60 * torch.randn(96, 128, generator=rng).sign()
    value = float(Noise().score(_batch(picture)).values[0])
    # A mean over the picture, Immerkaer's own estimate, would say about 50.
    assert value == pytest.approx(4, rel=0.15)


def test_noise_without_unclipped_tiles_is_saturated() -> None:
    assert Noise().score(_batch(_flat(255))).reasons == ("saturated",)


def test_blank_is_minus_log10_of_the_variance() -> None:
    halves = _flat(100)
    halves[:, :, 64:] = 120
    values = Blank().score(_batch(halves, _flat(7))).values
    assert float(values[0]) == pytest.approx(-math.log10(100), abs=1e-6)
    assert float(values[1]) == 4.0


def test_blur_of_a_step_is_that_of_the_gaussian_integral() -> None:
    step = _flat(40)
    step[:, :, 64:] = 200
    # The steepest difference of a step after a gaussian is the kernel's middle weight.
    expected = 1 / sum(math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-4, 5))
    assert float(Blur().score(_batch(step)).values[0]) == pytest.approx(expected, abs=1e-5)
    assert Blur().score(_batch(_flat(90))).reasons == ("no_edges",)


def test_clipping_counts_the_pixels_with_a_channel_at_its_end() -> None:
    image = _flat(128)
    image[0, :32] = 255
    image[2, -16:] = 0
    assert float(Clipping().score(_batch(image)).values[0]) == pytest.approx((32 + 16) / 128)


def test_grid_answers_to_periods_of_the_decoder_only() -> None:
    lines = {period: (torch.arange(128) % period == 0).float() for period in (8, 4, 2, 5)}
    grids = [_flat(128) + _grain(128) + 5 * torch.maximum(one[None], one[:, None]) for one in lines.values()]
    eight, four, two, five = UpsamplingGrid().score(_batch(*grids)).values.tolist()
    assert min(eight, four, two) > 0.9
    assert five < 0.4


def test_grid_answers_to_a_checkerboard_and_not_to_striped_cloth() -> None:
    wave = torch.arange(128)
    checker = 2.0 * ((wave[None] + wave[:, None]) % 2)
    stripes = 3 * torch.cos(2 * math.pi * wave / 8)
    values = UpsamplingGrid().score(_batch(*(_flat(128) + _grain(128) + one for one in (checker, stripes, 0)))).values
    assert float(values[0]) > 1.0
    # An eighth of its one peak is left: three periods and the other axis have none.
    assert float(values[1:].max()) < 0.4


def test_small_pictures_are_asked_for_period_two_only() -> None:
    wave = torch.arange(64)
    eight, two, checker = (
        _flat(128, 64) + _grain(64) + 3 * one
        for one in (
            torch.cos(2 * math.pi * wave / 8),
            torch.cos(math.pi * wave)[None] + torch.cos(math.pi * wave)[:, None],
            torch.cos(math.pi * wave)[None] * torch.cos(math.pi * wave)[:, None],
        )
    )
    values = UpsamplingGrid().score(_batch(eight, two, checker)).values
    assert float(values[0]) < 0.8
    assert float(values[1:].min()) > 1.5


def _grain(side: int) -> torch.Tensor:
    return 2 * torch.randn(side, side, generator=torch.Generator().manual_seed(4))


def _dressed(colour: Sequence[float], *, inset: int = 32) -> torch.Tensor:
    image = _flat(205)
    image[:, inset : 128 - inset, 32:96] = torch.tensor(colour, dtype=torch.float32)[:, None, None]
    return image


def test_colour_match_is_zero_for_the_right_name_and_large_for_the_wrong_one() -> None:
    red = _dressed((200, 25, 35))
    assert float(ColourMatch().score(_batch(red, colour="red")).values[0]) == 0
    assert float(ColourMatch().score(_batch(red, colour="blue")).values[0]) > 30
    assert ColourMatch().score(_batch(red, colour="scarlet")).reasons == ("unknown_colour",)
    assert ColourMatch().score(_batch(red)).reasons == ("not_applicable",)


def test_a_second_colour_of_the_garment_counts_by_its_share_of_the_middle() -> None:
    shirt = _dressed((200, 25, 35))
    shirt[:, 64:96, 32:96] = torch.tensor([30.0, 60, 190])[:, None, None]
    hem = _dressed((200, 25, 35))
    hem[:, 88:96, 32:96] = torch.tensor([30.0, 60, 190])[:, None, None]
    halves, stripe = (float(ColourMatch().score(_batch(image, colour="blue")).values[0]) for image in (shirt, hem))
    plain = float(ColourMatch().score(_batch(_dressed((200, 25, 35)), colour="blue")).values[0])
    assert halves == 0
    # One eighth of the middle against seven.
    assert stripe == pytest.approx(5 * math.log(7))
    assert plain > 30


def test_a_usual_shade_is_told_from_one_that_no_garment_of_the_name_has() -> None:
    usual = 255 * from_lab(usual_colour("grey")).clamp(0, 1)
    tinted = 255 * from_lab(usual_colour("grey") + torch.tensor([0.0, -25, 0])).clamp(0, 1)
    grey, green = (
        float(UnusualColour().score(_batch(_dressed(colour.tolist()), colour="grey")).values[0])
        for colour in (usual, tinted)
    )
    # The density at the mean of a normal distribution, against the screen's 8.2e5 cubic delta E.
    ll, la, lb, aa, ab, bb = CLOTH["grey"].spread
    spread = np.linalg.det([[ll, la, lb], [la, aa, ab], [lb, ab, bb]])
    expected = math.log10(math.sqrt((2 * math.pi) ** 3 * spread) / 8.2e5)
    assert grey == pytest.approx(expected, abs=0.1)
    assert green > 2


def test_no_shade_inside_the_range_of_its_name_is_rarer_than_a_blind_guess() -> None:
    vivid = _dressed((0, 0, 255))
    assert float(UnusualColour().score(_batch(vivid, colour="blue")).values[0]) <= 0
    assert float(UnusualColour().score(_batch(vivid, colour="grey")).values[0]) > 10
    assert UnusualColour().score(_batch(vivid, colour="azure")).reasons == ("unknown_colour",)
    assert UnusualColour().score(_batch(vivid)).reasons == ("not_applicable",)


def test_border_crop_is_the_garments_share_of_the_frame() -> None:
    inside, through = (float(BorderCrop().score(_batch(_dressed((200, 25, 35), inset=i))).values[0]) for i in (32, 0))
    assert inside == 0
    # Half of the upper and of the lower side, a quarter of the frame; the corners count once.
    assert through == pytest.approx(0.25, abs=0.03)


class _Axes:
    """An encoder of three classes: a picture's vector is its mean colour, a text's the axis of the word in it."""

    digest = "axes"

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.float().mean((2, 3)), dim=1)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        words = ("hat", "shirt", "dress")
        return torch.stack([torch.tensor([float(word in text) for word in words]) for text in texts])


def test_margin_and_rank_follow_the_cosines() -> None:
    image = torch.stack([_flat(0)[0] + level for level in (240.0, 100.0, 20.0)])
    stacked = image.to(torch.uint8).expand(3, -1, -1, -1)
    products = ["hat", "shirt", "cap"]
    batch = Batch(
        stacked,
        [""] * 3,
        [{"product": name} for name in products],
        _Axes(),
        {"product": ("hat", "shirt", "dress")},
    )
    norm = float(np.linalg.norm([240, 100, 20]))
    margins, ranks = GarmentMargin().score(batch), GarmentRank().score(batch)
    assert margins.values.tolist() == pytest.approx([140 / norm, -140 / norm, 0], abs=1e-6)
    assert ranks.values.tolist() == [1, 2, 0]
    assert margins.reasons == ranks.reasons == (None, None, "not_applicable")
