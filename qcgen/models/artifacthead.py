"""A small network that points at local artifacts: where a part of a picture does not belong."""

import json
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.errors import PrerequisiteError

LARGEST_PX = 256
_WEIGHTS, _CONFIG = "artifact_head.safetensors", "artifact_head.json"
_WORST_SHARE, _WORST_LEAST = 1 / 256, 4
_CODE = 1 / 127.5
_FAINT = (_CODE / 2) ** 2


class ArtifactHead(nn.Module):
    """Convolutions on pixels, on what a blur takes from them, and on statistics of their fine detail, at a quarter and
    an eighth of the resolution; one logit a cell of 4 x 4 pixels. A cell is held against the whole picture.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.stem = nn.Sequential(_block(6, 24, kernel=5, stride=2), _block(24, width, stride=2))
        self.detail = _block(_STATISTICS, width, kernel=1)
        self.fine = nn.Sequential(_block(2 * width, width), _Residual(width), _Residual(width))
        self.down = _block(width, 2 * width, stride=2)
        self.coarse = nn.Sequential(_Residual(2 * width), _Residual(2 * width, dilation=2))
        self.whole = nn.Linear(4 * width, 2 * width)
        self.compared = _Residual(2 * width)
        self.up = nn.Conv2d(2 * width, width, 1)
        self.joined = _Residual(width)
        self.out = nn.Conv2d(width, 1, 1)
        # Few cells are artifacts: the first steps need not learn that.
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, -4.0)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b hh ww"]:
        """Logits of pictures in [-1, 1], sides a multiple of 8."""
        pixels = self.stem(torch.cat([x, 8 * _residual(x)], dim=1))
        fine = self.fine(torch.cat([pixels, self.detail(_statistics(x))], dim=1))
        coarse = self.coarse(self.down(fine))
        spread, mean = torch.var_mean(coarse.float(), dim=(2, 3), correction=0)
        whole = self.whole(torch.cat([mean, (spread + 1e-4).sqrt()], dim=1))
        coarse = self.up(self.compared(coarse + whole[:, :, None, None]))
        joined = self.joined(fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest"))
        logits: Tensor = self.out(joined)[:, 0]
        return logits


def scale(images: UInt8[Tensor, "b 3 h w"], largest_px: int = LARGEST_PX) -> Float[Tensor, "b 3 hh ww"]:
    """Pictures as the head wants them: the short side at most `largest_px`, sides a multiple of 8, in [-1, 1].

    Smaller pictures are not enlarged, which would soften them.
    """
    factor = min(1.0, largest_px / min(images.shape[-2:]))
    high, wide = (max(8, round(length * factor / 8) * 8) for length in images.shape[-2:])
    x = images.float()
    if (high, wide) != tuple(images.shape[-2:]):
        x = F.interpolate(x, size=(high, wide), mode="bilinear", antialias=True)
    return x / 127.5 - 1


def worst_cells(logits: Float[Tensor, "b hh ww"]) -> Float[Tensor, " b"]:
    """The picture's score: the mean of its largest logits, one in 256 and at least four, steadier than the largest."""
    cells = logits.flatten(1)
    return cells.topk(max(_WORST_LEAST, round(cells.shape[1] * _WORST_SHARE)), dim=1).values.mean(1)


def save_head(head: ArtifactHead, folder: Path) -> None:
    """Write a head in half precision."""
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in head.state_dict().items()
    }
    save_file(weights, folder / _WEIGHTS)
    (folder / _CONFIG).write_text(json.dumps({"width": head.width}) + "\n")


def load_head(folder: Path, *, device: str = "cpu") -> ArtifactHead:
    """Raises PrerequisiteError if the folder holds no head, a damaged one, or one of another make."""
    missing = [name for name in (_WEIGHTS, _CONFIG) if not (folder / name).is_file()]
    if missing:
        raise PrerequisiteError(
            f"{folder}: lacks {', '.join(missing)}. Cure: a folder that `kind: artifact_head` left."
        )
    try:
        head = ArtifactHead(**json.loads((folder / _CONFIG).read_text()))
        weights = load_file(folder / _WEIGHTS)
        head.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
        )
    except (RuntimeError, TypeError, ValueError, SafetensorError):
        raise PrerequisiteError(
            f"{folder}: holds a damaged head, or one of another make. Cure: train it again with `kind: artifact_head`."
        ) from None
    return head.to(device).eval().requires_grad_(False)


def _residual(x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """What a small blur takes away: noise, texture and edges without the colours that they are on."""
    return x - F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


_STATISTICS = 7


def _statistics(x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 7 hh ww"]:
    """Of cells of 8 x 8 luma pixels, every fourth pixel: logarithms of the mean squares of first and second
    differences across, down and both ways, the share of the gradient that has one direction, and the share of pixels
    that equal their neighbours. A wiped part lacks the fine differences, along one direction most of all.
    """
    luma = F.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across, down = luma[:, :, 1:-1].diff(dim=3), luma[..., 1:-1].diff(dim=2)
    dx, dy = across[..., 1:], down[:, :, 1:]
    energies = [
        dx**2,
        dy**2,
        across.diff(dim=3) ** 2,
        down.diff(dim=2) ** 2,
        luma.diff(dim=2).diff(dim=3)[..., 1:, 1:] ** 2,
    ]
    equal = (dx.abs() + dy.abs() < _CODE).float()
    # In two steps, which is the same mean and a quarter of the work.
    halved = F.avg_pool2d(torch.cat([*energies, dx * dy, equal], dim=1), 2)
    pooled = F.avg_pool2d(halved, 4, 2, 1, count_include_pad=False)
    strength, twist = pooled[:, :2].sum(1), pooled[:, 5]
    slope = (pooled[:, 0] - pooled[:, 1]) / 2
    one_way = torch.hypot(slope, twist) / (strength / 2 + _FAINT)
    return torch.cat([((pooled[:, :5] + _FAINT).log() + 7) / 3, one_way[:, None], pooled[:, 6:]], dim=1)


def _block(channels: int, out: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False)
        self.branch = nn.Sequential(_block(channels, channels), last, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))
