"""sRGB, CIELAB, colour differences and the fourteen colour names: the only place in the project that knows them."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

NAMES = (
    *("beige", "black", "blue", "brown", "green", "grey", "navy"),
    *("orange", "pink", "purple", "red", "teal", "white", "yellow"),
)
_ALIASES = {"gray": "grey"}
_WHITE = (0.95047, 1.0, 1.08883)
_LONGEST_TABLE = 1024
"""Pixels of a cell; the table then has 260,000 numbers."""
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)


def to_lab(rgb: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """CIELAB (D65, 2 degrees) of sRGB values in [0, 1]; the last axis holds the channels."""
    linear = _to_linear(rgb)
    matrix = torch.tensor(_RGB_TO_XYZ, dtype=rgb.dtype, device=rgb.device)
    white = torch.tensor(_WHITE, dtype=rgb.dtype, device=rgb.device)
    xyz = linear @ matrix.T / white
    x, y, z = _root(xyz).unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def cells_to_lab(cells: Float[Tensor, "b 3 h w"], pixels: int | None) -> Float[Tensor, "b 3 h w"]:
    """CIELAB of means of codes, channel by channel.

    Args:
        pixels: of which each cell is the mean, so that it is one of few values; None where that is not known.
    """
    if pixels is None or pixels > _LONGEST_TABLE:
        red, green, blue = _to_linear(cells / 255).unbind(1)
    else:
        table = _linear_table(pixels, cells.dtype).to(cells.device)
        places = (cells * pixels).round_().int().flatten()
        red, green, blue = table.index_select(0, places).view(cells.shape).unbind(1)
    x, y, z = (
        _root((red * of[0]).add_(green, alpha=of[1]).add_(blue, alpha=of[2]).div_(white))
        for of, white in zip(_RGB_TO_XYZ, _WHITE, strict=True)
    )
    return torch.stack([116 * y - 16, (x - y).mul_(500), (y - z).mul_(200)], dim=1)


def _to_linear(rgb: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    return torch.where(rgb > 0.04045, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def _root(ratio: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """CIELAB's f."""
    return torch.where(ratio > 0.008856, ratio.clamp(min=0.008856) ** (1 / 3), 7.787 * ratio + 16 / 116)


@lru_cache(maxsize=16)
def _linear_table(pixels: int, dtype: torch.dtype) -> Float[Tensor, " n"]:
    """Linear light of every mean that so many codes can have."""
    return _to_linear(torch.arange(255 * pixels + 1, dtype=torch.float64) / (255 * pixels)).to(dtype)


def from_lab(lab: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """sRGB of CIELAB, the inverse of `to_lab`; outside [0, 1] where the screen has no such colour."""
    light, a, b = lab.unbind(-1)
    y = (light + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=-1)
    white = torch.tensor(_WHITE, dtype=lab.dtype, device=lab.device)
    xyz = white * torch.where(f > 0.008856 ** (1 / 3), f**3, (f - 16 / 116) / 7.787)
    matrix = torch.linalg.inv(torch.tensor(_RGB_TO_XYZ, dtype=lab.dtype, device=lab.device))
    linear = xyz @ matrix.T
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear)


def delta_e(first: Float[Tensor, "*#batch 3"], second: Float[Tensor, "*#batch 3"]) -> Float[Tensor, "*batch"]:
    """CIEDE2000 difference of two Lab colours, about 1 where a trained eye begins to see it.

    Source: Sharma, Wu, Dalal 2005, equations 2 to 22.
    """
    l_1, a_1, b_1 = first.unbind(-1)
    l_2, a_2, b_2 = second.unbind(-1)
    mean_chroma = (torch.hypot(a_1, b_1) + torch.hypot(a_2, b_2)) / 2
    stretch = 1 + 0.5 * (1 - _saturate(mean_chroma))
    c_1, c_2 = torch.hypot(a_1 * stretch, b_1), torch.hypot(a_2 * stretch, b_2)
    h_1, h_2 = _hue(a_1 * stretch, b_1), _hue(a_2 * stretch, b_2)
    grey = (c_1 * c_2) == 0
    turn = torch.remainder(h_2 - h_1 + 180, 360) - 180
    turn = torch.where(grey, 0.0, turn)
    hue = torch.where(grey, h_1 + h_2, torch.remainder(h_1 + turn / 2, 360))
    d_l, d_c, d_h = l_2 - l_1, c_2 - c_1, 2 * torch.sqrt(c_1 * c_2) * torch.sin(torch.deg2rad(turn) / 2)
    light, chroma = (l_1 + l_2) / 2, (c_1 + c_2) / 2
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.20 * _cos(4 * hue - 63)
    s_l = 1 + 0.015 * (light - 50) ** 2 / torch.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotate = 30 * torch.exp(-(((hue - 275) / 25) ** 2))
    r_t = -2 * _saturate(chroma) * torch.sin(torch.deg2rad(2 * rotate))
    lightness, c, h = d_l / s_l, d_c / s_c, d_h / s_h
    return torch.sqrt((lightness**2 + c**2 + h**2 + r_t * c * h).clamp(min=0))


def _saturate(chroma: Tensor) -> Tensor:
    return torch.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _hue(a: Tensor, b: Tensor) -> Tensor:
    return torch.remainder(torch.rad2deg(torch.atan2(b, a)), 360)


def _cos(degrees: Tensor) -> Tensor:
    return torch.cos(torch.deg2rad(degrees))


def name_codes(lab: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"]:
    """Index into NAMES of the range that each Lab colour lies in; the ranges tile the whole space.

    The limits are lightness, chroma and hue angles of photographed cloth, which is duller and darker than the screen
    primaries of the same names: a white shirt in a bedroom has a lightness of 75.
    """
    light, a, b = lab.unbind(-1)
    chroma, hue = torch.hypot(a, b), _hue(a, b)
    warm = (hue < 45) | (hue >= 338)
    rosy = (hue < 8) | (hue >= 338)
    rules = (
        ("black", (light < 26) & (chroma < 10)),
        ("black", (light < 28) & (chroma < 4)),
        ("white", (light >= 78) & (chroma < 13)),
        ("white", (light >= 72) & (chroma < 8)),
        ("grey", chroma < 9),
        ("grey", (chroma < 12) & (hue >= 105) & (light >= 26)),
        ("navy", (hue >= 218) & (hue < 308) & (light < 29)),
        ("blue", (hue >= 218) & (hue < 308)),
        ("purple", (hue >= 308) & (hue < 338)),
        ("pink", warm & (light >= 58)),
        ("pink", rosy & (light >= 44) & (chroma < 48)),
        ("red", rosy & (chroma >= 18)),
        ("red", warm & (chroma >= 29)),
        ("brown", warm),
        ("orange", (hue < 72) & (light >= 50) & (chroma >= 44)),
        ("orange", (hue < 77) & (light >= 50) & (chroma >= 65)),
        ("yellow", (hue >= 72) & (hue < 105) & (light >= 50) & (chroma >= 38)),
        ("beige", (hue < 105) & (light >= 49)),
        ("brown", hue < 105),
        ("green", hue < 165),
    )
    codes = torch.full_like(light, NAMES.index("teal"), dtype=torch.int64)
    for name, holds in reversed(rules):
        codes = torch.where(holds, NAMES.index(name), codes)
    return codes


def known_name(text: str | None) -> str | None:
    """The one of NAMES that a catalogue's colour field means, or None (`light blue` has no range of its own)."""
    word = (text or "").strip().lower()
    word = _ALIASES.get(word, word)
    return word if word in NAMES else None


def distance_to_names(lab: Float[Tensor, "*batch 3"], asked: Sequence[str]) -> Float[Tensor, "*batch"]:
    """CIEDE2000 from each colour to the nearest swatch of the range of the name asked for its row; 0 inside it."""
    swatches = _swatches()
    inside = name_codes(lab)
    values = torch.zeros_like(lab[..., 0])
    for i, name in enumerate(asked):
        outside = inside[i] != NAMES.index(name)
        if bool(outside.any()):
            near = delta_e(lab[i][..., None, :], swatches[name].to(lab)).amin(-1)
            values[i] = torch.where(outside, near, 0.0)
    return values


def swatch(name: str) -> Float[Tensor, "3"]:
    """The middle of a name's range, in Lab."""
    return _swatches()[name].mean(0)


@lru_cache(maxsize=1)
def _swatches() -> dict[str, Float[Tensor, "_ 3"]]:
    """A lattice of screen colours (step 15 of 255), sorted by name."""
    axis = torch.arange(0, 256, 15, dtype=torch.float64) / 255
    lab = to_lab(torch.cartesian_prod(axis, axis, axis))
    codes = name_codes(lab)
    return {name: lab[codes == i] for i, name in enumerate(NAMES)}
