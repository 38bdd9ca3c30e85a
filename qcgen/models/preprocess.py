"""open_clip's inference transform on batches of tensors, on any device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.errors import SpecError

ResizeMode = Literal["shortest", "longest", "squash"]
_MODES = ("shortest", "longest", "squash")
_KERNELS = {"bicubic": "bicubic", "bilinear": "bilinear", "random": "bicubic"}
_WIDEST = 8
"""Only the middle of a picture is looked at by `shortest`: of a strip, no more than this ratio is enlarged."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What a model wants of a picture.

    Attributes:
        size: height and width in pixels.
        resize_mode: `shortest` cuts the middle out, `longest` pads with `fill_color`, `squash` keeps no proportions.
        fill_color: a code, 0..255.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: ResizeMode = "shortest"
    fill_color: int = 0

    def __call__(self, images: UInt8[Tensor, "b 3 h w"], device: str = "cpu") -> Float[Tensor, "b 3 s t"]:
        """Antialiased, rounded and clamped to codes as a picture is, then normalised."""
        height, width = self.size
        small = self._fit(self._resize(images.to(device)).round().clamp(0, 255), height, width) / 255
        mean = torch.tensor(self.mean, device=device)[:, None, None]
        return (small - mean) / torch.tensor(self.std, device=device)[:, None, None]

    def _resize(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        if self.resize_mode == "shortest":
            images = _middle(images, self.size)
        # A side that is not square is resized bicubically by open_clip, whatever the model says.
        kernel = "bicubic" if self.resize_mode == "shortest" and self.size[0] != self.size[1] else self.interpolation
        target = self._target(images.shape[-2], images.shape[-1])
        return F.interpolate(images.float(), size=target, mode=_KERNELS[kernel], antialias=True)

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """The size before cutting and padding, with the roundings of the libraries that open_clip asks."""
        high, wide = self.size
        if self.resize_mode == "squash":
            return self.size
        if self.resize_mode == "shortest" and high == wide:
            short = min(height, width)
            return (high, int(high * width / short)) if height == short else (int(high * height / short), high)
        pick = max if self.resize_mode == "longest" else min
        ratio = pick(height / high, width / wide)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _fit(self, images: Float[Tensor, "b 3 h w"], height: int, width: int) -> Float[Tensor, "b 3 s t"]:
        """Pad, then cut, around the middle."""
        down, right = max(0, height - images.shape[-2]), max(0, width - images.shape[-1])
        if down or right:
            sides = (right // 2, (right + 1) // 2, down // 2, (down + 1) // 2)
            images = F.pad(images, sides, value=float(self.fill_color))
        top = round((images.shape[-2] - height) / 2.0)
        left = round((images.shape[-1] - width) / 2.0)
        return images[..., top : top + height, left : left + width]


def read_preprocess(settings: Mapping[str, object], where: str) -> Preprocess:
    """From open_clip's `preprocess_cfg`.

    Raises:
        SpecError: a value that open_clip does not know.
    """
    mode, kernel = settings.get("resize_mode") or "shortest", settings.get("interpolation") or "bicubic"
    if mode not in _MODES or kernel not in _KERNELS:
        raise SpecError(
            f"{where}: preprocess_cfg must have a resize_mode of {', '.join(_MODES)} and an interpolation of "
            f"{', '.join(_KERNELS)} (got {mode!r} and {kernel!r}). Cure: the model's own file."
        )
    return Preprocess(
        size=_pair(settings["size"]),
        mean=_three(settings["mean"]),
        std=_three(settings["std"]),
        interpolation=str(kernel),
        resize_mode=cast(ResizeMode, mode),
        fill_color=int(cast(int, settings.get("fill_color") or 0)),
    )


def _middle(images: UInt8[Tensor, "b 3 h w"], size: tuple[int, int]) -> UInt8[Tensor, "b 3 s t"]:
    """The middle of a strip: enlarged whole, 3 x 20,000 pixels would become 336 million."""
    height, width = images.shape[-2:]
    most = _WIDEST * max(size) / min(size)
    high, wide = (min(side, max(1, round(most * other))) for side, other in ((height, width), (width, height)))
    top, left = (height - high) // 2, (width - wide) // 2
    return images[..., top : top + high, left : left + wide]


def _pair(size: object) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else cast(tuple[int, int], tuple(cast(list[int], size)))


def _three(values: object) -> tuple[float, float, float]:
    return cast(
        tuple[float, float, float], (values,) * 3 if isinstance(values, float) else tuple(cast(list[float], values))
    )
