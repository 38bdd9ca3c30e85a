"""Pixel detectors on constructed pictures, against values found by hand or by another library."""

import io
import math

import numpy as np
import PIL.Image
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.measure import blur_effect
from torch.nn import functional as F

from qcgen.qc.detectors.anomaly import Anomaly
from qcgen.qc.detectors.background import Background
from qcgen.qc.detectors.banding import Banding
from qcgen.qc.detectors.blur import Blur
from qcgen.qc.detectors.blur_effect import BlurEffect
from qcgen.qc.detectors.centring import Centring
from qcgen.qc.detectors.detail import Detail
from qcgen.qc.detectors.frame_contact import FrameContact
from qcgen.qc.detectors.jpeg_blocks import JpegBlocks
from qcgen.qc.detectors.motion_blur import MotionBlur
from qcgen.qc.detectors.occupancy import Occupancy
from qcgen.qc.detectors.posterisation import Posterisation
from qcgen.qc.detectors.ringing import Ringing
from qcgen.qc.detectors.saturation import Saturation
from qcgen.qc.detectors.speckles import Speckles
from qcgen.qc.detectors.tile_seam import TileSeam
from qcgen.qc.protocol import Batch, Detector, TileLines

SIDE = 128


def _codes(*images: torch.Tensor) -> torch.Tensor:
    return torch.stack([image.expand(3, *image.shape[-2:]) for image in images]).round().clamp(0, 255).to(torch.uint8)


def _batch(*images: torch.Tensor, lines: TileLines | None = None) -> Batch:
    return Batch(_codes(*images), [""] * len(images), [{}] * len(images), tile_lines=lines)


def _values(detector: Detector, *images: torch.Tensor) -> list[float]:
    scores = detector.score(_batch(*images))
    assert scores.reasons == (None,) * len(images)
    return [float(value) for value in scores.values]


def _flat(level: float = 128) -> torch.Tensor:
    return torch.full((SIDE, SIDE), float(level))


def _grain(sigma: float, seed: int = 3) -> torch.Tensor:
    return sigma * torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def _product(
    top: int, left: int, height: int, width: int, colour: tuple[int, int, int] = (200, 25, 35)
) -> torch.Tensor:
    image = torch.full((3, SIDE, SIDE), 205.0)
    image[:, top : top + height, left : left + width] = torch.tensor(colour, dtype=torch.float32)[:, None, None]
    return image


def test_saturation_is_the_share_of_the_product_at_the_edge_of_the_screens_colours() -> None:
    strong, pushed, half = _product(32, 32, 64, 64), _product(32, 32, 64, 64, (255, 0, 10)), _product(32, 32, 64, 64)
    half[:, 32:96, 32:64] = torch.tensor([190.0, 0.0, 40.0])[:, None, None]
    black, burnt = _product(32, 32, 64, 64, (10, 0, 0)), _product(32, 32, 64, 64, (255, 255, 240))
    assert _values(Saturation(), strong, pushed, half, black, burnt) == pytest.approx([0, 1, 0.5, 0, 0])
    assert Saturation().score(_batch(_flat())).reasons == ("no_foreground",)


def test_blur_effect_of_a_step_is_two_elevenths_and_of_a_ramp_one() -> None:
    step = _flat(40)
    step[:, 64:] = 200
    ramp = torch.arange(SIDE).float().expand(SIDE, SIDE)
    assert _values(BlurEffect(), step, ramp) == pytest.approx([2 / 11, 1], abs=1e-5)
    assert BlurEffect().score(_batch(_flat())).reasons == ("no_edges",)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_blur_effect_of_a_gaussian_step_follows_the_formula(sigma: float) -> None:
    place = (torch.arange(SIDE) - 63.5) / (sigma * math.sqrt(2))
    step = (128 + 100 * torch.erf(place)).round()
    sharp = np.abs(np.convolve(step, [0.5, 0, -0.5], "valid"))[5:-5]
    blurred = np.abs(np.convolve(np.convolve(step, np.full(11, 1 / 11), "valid"), [0.5, 0, -0.5], "valid"))
    expected = 1 - np.maximum(0, sharp - blurred).sum() / sharp.sum()
    # float32 sums of 128 rows.
    assert _values(BlurEffect(), step.expand(SIDE, SIDE)) == pytest.approx([expected], abs=1e-4)


def test_blur_effect_agrees_with_scikit_image() -> None:
    texture = F.interpolate(_grain(50)[None, None, :96, :40], size=(96, 96), mode="bicubic")[0, 0]
    image = F.pad(128 + texture, (16,) * 4, value=128).clamp(0, 255).round()
    # The flat frame keeps what the two do at the border out of it.
    assert _values(BlurEffect(), image) == pytest.approx([float(blur_effect(image.numpy()))], abs=1e-4)


def test_detail_of_white_noise_is_what_the_kernel_takes_and_of_a_ramp_nothing() -> None:
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    expected = 1 - 2 * kernel[4] ** 2 + (kernel**2).sum() ** 2
    ramp = torch.arange(SIDE).float().expand(SIDE, SIDE)
    noise, smooth = _values(Detail(), 128 + _grain(30), ramp)
    # A tile of 256 values has a median variance 1 % off its mean.
    assert noise == pytest.approx(expected, abs=0.02)
    assert smooth == pytest.approx(0, abs=1e-4)
    assert Detail().score(_batch(_flat())).reasons == ("flat",)


def _blocks(period: int, phase: int) -> torch.Tensor:
    """Flat blocks of random levels on grain."""
    place = (torch.arange(SIDE) + period - phase) // period
    levels = 8 * torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    return 128 + levels[place][:, place] + _grain(2)


def test_jpeg_blocks_sees_period_eight_at_every_phase_and_no_other_period() -> None:
    eight = _values(JpegBlocks(), *(_blocks(8, phase) for phase in range(8)))
    other = _values(JpegBlocks(), _blocks(10, 0), _blocks(7, 0), 128 + _grain(2))
    assert min(eight) > 1.8
    assert max(other) < 1.35


def test_jpeg_blocks_sees_a_real_jpeg_cut_anywhere() -> None:
    big = F.interpolate(_grain(60)[None, None, :40, :40], size=(160, 160), mode="bicubic")[0, 0]
    buffer = io.BytesIO()
    picture = _codes(128 + big + 3 * torch.randn(160, 160, generator=torch.Generator().manual_seed(1)))[0]
    PIL.Image.fromarray(picture.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=15)
    hard = torch.from_numpy(np.asarray(PIL.Image.open(buffer)).copy()).permute(2, 0, 1).float()
    clean, *cuts = _values(
        JpegBlocks(),
        picture[:, :SIDE, :SIDE].float(),
        *(hard[:, top : top + SIDE, left : left + SIDE] for top, left in ((0, 0), (3, 5), (7, 2))),
    )
    assert min(cuts) > clean + 0.2
    assert max(cuts) / min(cuts) < 1.15


def test_ringing_is_the_bend_of_the_profile_over_the_step() -> None:
    step = _flat(60)
    step[:, 64:] = 180
    rippled = step.clone()
    beside = torch.cat([torch.arange(52, 61), torch.arange(67, 76)])
    rippled[:, beside] += 2.0 * (-1.0) ** beside
    # Second differences of columns that alternate by 2 codes are 8; the two places nearest to the edge have 6.
    expected = (8 * 8 + 2 * 6) / 10 / 120
    assert _values(Ringing(), step, rippled, rippled.T, _flat()) == pytest.approx([0, expected, expected, 0], abs=1e-6)
    (grain,) = _values(Ringing(), step + _grain(1))
    assert grain < 0.02


def _smeared(image: torch.Tensor) -> torch.Tensor:
    """Moved by 9 px across."""
    return F.avg_pool2d(F.pad(image[None, None], (4, 4, 0, 0), mode="replicate"), (1, 9), stride=1)[0, 0]


def test_motion_blur_of_a_step_is_the_ratio_of_fourth_powers() -> None:
    step = _flat(30)
    step[:, 64:] = 210
    box = np.full(9, 1 / 9)
    left = [(np.convolve(one, np.full(4, 1 / 4)) ** 4).sum() / (one**4).sum() for one in (np.ones(1), box)]
    # Of 124 differences over 4 px and 127 of neighbours; a ten-thousandth is added below.
    expected = [(one * 127 / 124) ** 0.25 for one in left]
    assert _values(MotionBlur(), step, _smeared(step)) == pytest.approx(expected, rel=3e-3)
    assert _values(MotionBlur(), step.T, _smeared(step).T) == pytest.approx(expected, rel=3e-3)
    assert MotionBlur().score(_batch(_flat())).reasons == ("no_edges",)


@pytest.mark.parametrize("degrees", [0, 22, 45, 67, 90, 135, 160])
def test_motion_blur_finds_any_direction(degrees: int) -> None:
    """Discs have edges of all directions."""
    places = torch.arange(SIDE).float()
    disc = 60 + 120 * (torch.hypot(places[:, None] % 32 - 16, places[None] % 32 - 16) < 10).float()
    angle = math.radians(degrees)
    moved = [disc.roll((round(t * math.sin(angle)), round(t * math.cos(angle))), (0, 1)) for t in range(-5, 6)]
    sharp, soft = _values(MotionBlur(), disc, torch.stack(moved).mean(0))
    assert sharp < 0.45
    assert soft > 0.6


def test_motion_blur_sees_what_sharp_edges_along_the_motion_hide() -> None:
    wide = _flat(40)
    wide[32:96, 16:112] = 200
    sharp, moved = _values(MotionBlur(), wide, _smeared(wide))
    assert sharp < 0.4
    assert moved > 0.85
    # Upper and lower edge are more than a hundredth of the picture.
    sharp, moved = _values(Blur(), wide, _smeared(wide))
    assert moved == pytest.approx(sharp, rel=0.05)


def _all_codes() -> torch.Tensor:
    return (2 * torch.arange(SIDE) + torch.arange(SIDE)[:, None] % 2).float()


def test_posterisation_of_a_ramp_is_counted_by_hand() -> None:
    # 64 levels, 4 apart. Levels 1 and 62 hold the quantiles: 243 codes lie between, 60 of them levels.
    comb = _all_codes() // 4 * 4
    assert _values(Posterisation(), _all_codes(), comb) == pytest.approx([0, 183 / 243])
    assert Posterisation().score(_batch(_flat())).reasons == ("few_tones",)


def test_banding_counts_steps_between_plateaus() -> None:
    ramp = torch.arange(SIDE).float().expand(SIDE, SIDE)
    stairs = ramp // 8 * 8
    noisy = stairs + _grain(1)
    values = _values(Banding(), stairs, ramp, ramp // 8, noisy, stairs.T)
    # Fifteen steps among the 121 places that have three pixels of a plateau on both sides.
    assert values == pytest.approx([15 / 121, 0, 0, 0, 15 / 121], abs=1e-3)


@pytest.mark.parametrize("sign", [-1, 1])
def test_tile_seam_is_the_step_at_the_known_line(sign: int) -> None:
    flat, grained = _flat(100), 100 + _grain(3)
    for image in (flat, grained):
        image[:, 64:] += 4 * sign
    at = TileSeam().score(_batch(flat, grained, lines=TileLines(columns=(64,))))
    beside = TileSeam().score(_batch(flat, grained, lines=TileLines(rows=(64,), columns=(96,))))
    assert float(at.values[0]) == pytest.approx(4, abs=1e-4)
    # Grain of 3 codes gives steps of 5.6, over 128 rows half a code; the worst of 14 parallels takes three such off.
    assert 1.5 < float(at.values[1]) < 4.5
    assert float(beside.values[0]) == pytest.approx(0, abs=1e-4)
    assert float(beside.values[1]) < 0.6


def test_tile_seam_counts_a_quarter_of_what_steps_as_much_beside_the_line() -> None:
    """Slats every 4 px, one of them in the line."""
    slats = 100 + 8.0 * (torch.arange(SIDE) // 4 % 2).expand(SIDE, SIDE)
    assert _seams(slats) == pytest.approx([2], abs=1e-3)


@pytest.mark.parametrize("sign", [-1, 1])
def test_tile_seam_reads_the_rows_that_are_not_burnt(sign: int) -> None:
    packshot = torch.full((SIDE, SIDE), 255.0)
    packshot[40:70] = 150
    burnt = packshot.clone()
    for image in (packshot, burnt):
        image[:, 64:] += 6 * sign
    burnt[40:70] = 255
    # Brighter than white there is nothing: 30 rows of the product tell, or none.
    assert _seams(packshot, burnt) == pytest.approx([6, 0 if sign > 0 else 6], abs=1e-3)


def test_tile_seam_follows_the_quiet_rows() -> None:
    """Two thirds of the line are coarse grain, in which a mean of all rows would drown."""
    image = _flat(100)
    image[:, 64:] += 5
    image[40:] += _grain(20)[40:]
    assert _seams(image) == pytest.approx([5], abs=0.8)


def _seams(*images: torch.Tensor) -> list[float]:
    scores = TileSeam().score(_batch(*images, lines=TileLines(columns=(64,))))
    return [float(value) for value in scores.values]


@pytest.mark.parametrize("lines", [None, TileLines(), TileLines(rows=(0, 1, 127, 500))])
def test_tile_seam_without_lines_inside_does_not_apply(lines: TileLines | None) -> None:
    assert TileSeam().score(_batch(_flat(), lines=lines)).reasons == ("not_applicable",)


def test_occupancy_is_the_longer_span_and_centring_the_worse_offset() -> None:
    images = _product(32, 32, 64, 64), _product(56, 0, 16, 128), _product(32, 64, 64, 64)
    assert _values(Occupancy(), *images) == pytest.approx([0.5, 1.0, 0.5])
    # From the middle to three quarters of the side is half of half a side.
    assert _values(Centring(), *images) == pytest.approx([0, 0, 0.5])
    for detector in (Occupancy(), Centring()):
        assert detector.score(_batch(_flat())).reasons == ("no_foreground",)


def test_a_speckle_widens_neither_occupancy_nor_centring() -> None:
    dirty = _product(32, 32, 64, 64)
    dirty[:, 120:123, 4:7] = 20
    assert _values(Occupancy(), dirty) == pytest.approx([0.5])
    assert _values(Centring(), dirty) == pytest.approx([0])


def _filling(ground: float, corner: int, colour: tuple[int, int, int] = (200, 180, 140)) -> torch.Tensor:
    """A product that leaves two corners of the ground and is most of the frame."""
    image = torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, SIDE, SIDE).clone()
    image[:, :corner, :corner] = image[:, -corner:, -corner:] = ground
    return image


def _contact(image: torch.Tensor, level: int = 255) -> float:
    batch = Batch(_codes(image), [""], [{}], background=(level, level, level))
    return float(FrameContact().score(batch).values[0])


def test_frame_contact_is_the_products_share_of_the_frame() -> None:
    # The ring of 2 cells has 4 * 2 * 126 of them; the product takes 2 rows of 20 at the upper side.
    assert _values(FrameContact(), _product(32, 32, 64, 64), _product(0, 40, 64, 20)) == pytest.approx([0, 40 / 1008])


@pytest.mark.parametrize("level", [255, 205])
def test_a_product_that_fills_the_frame_is_no_ground_where_the_wanted_one_shows(level: int) -> None:
    # Two corners of 48: 2 * (48 * 4 - 4) cells of 1008 are ground.
    assert _contact(_filling(level, 48), level) == pytest.approx(1 - 376 / 1008)


def test_a_product_is_the_ground_where_less_than_a_tenth_shows_or_another_colour() -> None:
    # Then the ground's corners are the blobs, and the first of two equal ones is the product.
    assert _contact(_filling(255, 12)) == pytest.approx(44 / 1008)
    assert _contact(_filling(235, 48)) == pytest.approx(188 / 1008)


def test_white_places_at_the_frame_of_another_plain_ground_change_nothing() -> None:
    image = _product(32, 32, 64, 64)
    image[:, :20, :20] = image[:, -20:, -20:] = 255
    assert _contact(image) == 0


def test_frame_contact_marks_the_product_that_it_counted() -> None:
    images = _filling(255, 48), _product(0, 40, 64, 20)
    filling, cut = (FrameContact().explain(_batch(*images), index).boxes[0] for index in range(2))
    assert (filling.left, filling.top, filling.right, filling.bottom) == (0, 0, 1, 1)
    assert (cut.left, cut.top, cut.right, cut.bottom) == (40 / SIDE, 0, 60 / SIDE, 64 / SIDE)


def test_background_is_the_difference_to_the_wanted_ground() -> None:
    image = _codes(_product(0, 40, 128, 20))
    grey, white = (rgb2lab(np.full((1, 1, 3), level / 255)) for level in (205, 255))
    on_white = Background().score(Batch(image, [""], [{}]))
    on_grey = Background().score(Batch(image, [""], [{}], background=(205, 205, 205)))
    assert float(on_white.values[0]) == pytest.approx(float(deltaE_ciede2000(grey, white)[0, 0]), abs=0.01)
    assert float(on_grey.values[0]) == pytest.approx(0, abs=1e-3)


def test_speckles_counts_small_blobs_and_no_second_product() -> None:
    clean = _product(32, 16, 64, 40)
    clean[:, 32:96, 72:112] = 60
    dirty = clean.clone()
    for top, left in ((6, 6), (6, 100), (115, 60)):
        dirty[:, top : top + 3, left : left + 3] = 40
    assert _values(Speckles(), clean, dirty, _flat()) == [0, 3, 0]


class _MeanColour:
    """An encoder whose vectors are mean colours."""

    digest = "mean"

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        return F.normalize(images.float().mean((2, 3)), dim=1)

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        return torch.ones(len(texts), 3)


def test_anomaly_is_the_mean_distance_to_the_five_nearest() -> None:
    image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    image[:, 0] = 200
    x, y = torch.eye(3)[:2]
    accepted = torch.stack([x, x, x, y, y, y, y])
    batch = Batch(image, [""], [{}], _MeanColour(), accepted=accepted)
    assert float(Anomaly().score(batch).values[0]) == pytest.approx(2 / 5)
    assert Anomaly().score(Batch(image, [""], [{}], _MeanColour(), accepted=accepted[:4])).reasons == (
        "not_applicable",
    )
    assert Anomaly().score(Batch(image, [""], [{}], accepted=accepted)).reasons == ("no_encoder",)
