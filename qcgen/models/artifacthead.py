"""A small network that points at local artifacts: where a part of a picture does not belong."""

import json
from pathlib import Path

from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.errors import PrerequisiteError

SIDE = 128
"""Short side of the pictures that it looks at, in pixels: it learned at this scale."""
_WEIGHTS, _CONFIG = "artifact_head.safetensors", "artifact_head.json"
_WORST = 4


class ArtifactHead(nn.Module):
    """Convolutions at a quarter and an eighth of the picture's resolution; one logit a cell of 4 x 4 pixels."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.stem = nn.Sequential(_block(3, 24, kernel=5, stride=2), _block(24, width, stride=2))
        self.fine = nn.Sequential(_Residual(width), _Residual(width))
        self.down = _block(width, 2 * width, stride=2)
        self.coarse = nn.Sequential(_Residual(2 * width), _Residual(2 * width))
        self.up = nn.Conv2d(2 * width, width, 1)
        self.joined = _Residual(width)
        self.out = nn.Conv2d(width, 1, 1)
        # Few cells are artifacts: the first steps need not learn that.
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias, -4.0)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b hh ww"]:
        """Logits of pictures in [-1, 1], sides a multiple of 8."""
        fine = self.fine(self.stem(x))
        coarse = self.up(self.coarse(self.down(fine)))
        joined = self.joined(fine + F.interpolate(coarse, size=fine.shape[-2:], mode="nearest"))
        logits: Tensor = self.out(joined)[:, 0]
        return logits


def scale(images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 hh ww"]:
    """Pictures as the head wants them: the short side at 128 px, sides a multiple of 8, in [-1, 1]."""
    factor = SIDE / min(images.shape[-2:])
    high, wide = (max(8, round(length * factor / 8) * 8) for length in images.shape[-2:])
    x = images.float()
    if (high, wide) != tuple(images.shape[-2:]):
        x = F.interpolate(x, size=(high, wide), mode="bilinear", antialias=True)
    return x / 127.5 - 1


def worst_cells(logits: Float[Tensor, "b hh ww"]) -> Float[Tensor, " b"]:
    """The picture's score: the mean of its four largest logits, steadier than the largest alone."""
    return logits.flatten(1).topk(_WORST, dim=1).values.mean(1)


def save_head(head: ArtifactHead, folder: Path) -> None:
    """Write a head in half precision."""
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in head.state_dict().items()
    }
    save_file(weights, folder / _WEIGHTS)
    (folder / _CONFIG).write_text(json.dumps({"width": head.width}) + "\n")


def load_head(folder: Path, *, device: str = "cpu") -> ArtifactHead:
    """Raises PrerequisiteError if the folder holds no head."""
    missing = [name for name in (_WEIGHTS, _CONFIG) if not (folder / name).is_file()]
    if missing:
        raise PrerequisiteError(
            f"{folder}: lacks {', '.join(missing)}. Cure: a folder that `kind: artifact_head` left."
        )
    head = ArtifactHead(**json.loads((folder / _CONFIG).read_text()))
    head.load_state_dict(
        {
            name: value.float() if value.is_floating_point() else value
            for name, value in load_file(folder / _WEIGHTS).items()
        }
    )
    return head.to(device).eval().requires_grad_(False)


def _block(channels: int, out: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.branch = nn.Sequential(_block(channels, channels), last, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.branch(x))
