"""A tiny open_clip model from captioned pictures: contrastive with many positives, plus anchors for garment and
colour."""

import gzip
import json
from pathlib import Path

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer, default_bpe
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.trainspec import ClipTraining
from qcgen.data.augment import jitter
from qcgen.data.imageset import ImageSet

_MEAN, _STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


class ClipTask:
    """Image tower: open_clip's ModifiedResNet (convolutions learn from few pictures). Source: Radford et al. 2021."""

    def __init__(self, spec: ClipTraining, data: ImageSet) -> None:
        self.spec, self.data = spec, data
        self.folder = spec.out
        self.folder.mkdir(parents=True, exist_ok=True)
        bpe = write_merges(self.folder / "bpe.txt.gz", spec.merges)
        self.tokenizer = SimpleTokenizer(bpe_path=str(bpe), context_length=spec.context_length)
        self.config = _model_config(spec, self.tokenizer.vocab_size)
        torch.manual_seed(spec.seed)
        self.clip = open_clip.CLIP(**self.config)
        self.module: nn.Module = self.clip
        self.rows = torch.from_numpy(data.rows(held_out=False))
        self.small = shrink(data.images, spec.image_size)
        self.tokens = self.tokenizer(list(data.captions))
        self.captions = _codes(data.captions)
        self.products, self.product_codes = sorted(set(data.products)), _codes(data.products)
        self.colours, self.colour_codes = sorted(set(data.colours)), _codes(data.colours)
        self.product_anchors = self.tokenizer([f"a photo of a {name}" for name in self.products])
        self.colour_anchors = self.tokenizer([f"a photo of a {name} garment" for name in self.colours])
        self.balance = balance(self.product_codes[self.rows])

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        chosen = torch.multinomial(self.balance, self.spec.optim.batch, replacement=True, generator=generator)
        rows = self.rows[chosen]
        images = augment(self.small[rows], generator)
        anchors = torch.cat([self.product_anchors, self.colour_anchors])
        with torch.autocast("cpu", torch.bfloat16):
            image, text, scale = self.module(normalise(images), torch.cat([self.tokens[rows], anchors]))
        image, text = image.float(), text.float()
        logits = scale.float().clamp(max=100) * image @ text.T
        n, p = len(rows), len(self.products)
        same = (self.captions[rows][:, None] == self.captions[rows][None, :]).float()
        contrast = logits[:, :n]
        forward = -(same / same.sum(1, keepdim=True) * contrast.log_softmax(1)).sum(1).mean()
        backward = -(same / same.sum(0, keepdim=True) * contrast.log_softmax(0)).sum(0).mean()
        product = F.cross_entropy(logits[:, n : n + p], self.product_codes[rows], label_smoothing=0.1)
        colour = F.cross_entropy(logits[:, n + p :], self.colour_codes[rows], label_smoothing=0.1)
        total = (forward + backward) / 4 + product + colour / 2
        return total, {"contrast": forward.item(), "product": product.item(), "colour": colour.item()}

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        assert isinstance(averaged, open_clip.CLIP)
        averaged.eval()
        save_file(
            {name: t.contiguous() for name, t in averaged.half().state_dict().items()},
            folder / "open_clip_model.safetensors",
        )
        averaged.float()
        preprocess = {
            "size": self.spec.image_size,
            "mode": "RGB",
            "mean": _MEAN,
            "std": _STD,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        }
        config = {"model_cfg": self.config, "preprocess_cfg": preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")
        measured: dict[str, object] = {}
        for name, held_out in (("held_out", True), ("trained", False)):
            rows = torch.from_numpy(self.data.rows(held_out=held_out))
            measured[name] = self._measure(averaged, rows)
        return measured

    @torch.no_grad()
    def _measure(self, model: open_clip.CLIP, rows: Tensor) -> dict[str, float | int]:
        images = torch.cat(
            [model.encode_image(normalise(self.small[part].float() / 255), normalize=True) for part in rows.split(128)]
        )
        product = images @ model.encode_text(self.product_anchors, normalize=True).T
        colour = images @ model.encode_text(self.colour_anchors, normalize=True).T
        right = product.argmax(1) == self.product_codes[rows]
        top3 = (product.topk(min(3, len(self.products)), 1).indices == self.product_codes[rows][:, None]).any(1)
        colour_right = colour.argmax(1) == self.colour_codes[rows]
        return {
            "n": len(rows),
            "product_top1": right.float().mean().item(),
            "product_top3": top3.float().mean().item(),
            "colour_top1": colour_right.float().mean().item(),
        }


def write_merges(path: Path, merges: int) -> Path:
    """Write open_clip's own byte-pair merges, cut after `merges`, as a file that its tokenizer reads."""
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as packed_merges:
        lines = packed_merges.read().split("\n")
    # mtime=0: the same merges give the same bytes, so the model's digest is stable.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write("\n".join(lines[: merges + 1]).encode())
    return path


def normalise(images: Tensor) -> Tensor:
    """RGB in [0, 1] to the network's input."""
    mean, std = torch.tensor(_MEAN), torch.tensor(_STD)
    return (images - mean[:, None, None]) / std[:, None, None]


def shrink(images: Tensor, side: int) -> Tensor:
    """uint8 pictures at the network's size (bicubic, antialiased, as the scorer does it)."""
    parts = [
        F.interpolate(part.float(), size=(side, side), mode="bicubic", antialias=True) for part in images.split(256)
    ]
    return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, turn and zoom a little, vary the light a little; uint8 in, float [0, 1] out. Hue stays: colour is a
    label."""
    turned = jitter(images, generator, angle=0.25, zoom=(0.75, 1.1), shift=0.12)
    gain = torch.rand(len(images), generator=generator) * 0.3 + 0.85
    return _erase(turned * gain[:, None, None, None], generator).clamp(0, 1)


def _erase(images: Tensor, generator: torch.Generator) -> Tensor:
    """Grey out one random box in half of the pictures (Zhong et al. 2017)."""
    n, _, h, w = images.shape
    y, x = torch.arange(h)[None, :, None], torch.arange(w)[None, None, :]
    top, left, side, coin = (torch.rand(4, n, generator=generator)[:, :, None, None]).unbind(0)
    size = (0.15 + 0.3 * side) * h
    inside = (y >= top * h) & (y < top * h + size) & (x >= left * w) & (x < left * w + size) & (coin < 0.5)
    return torch.where(inside[:, None], torch.tensor(0.5), images)


def balance(codes: Tensor) -> Tensor:
    """How often each row is drawn: a class by the square root of its rows."""
    counts = torch.bincount(codes).float()
    return counts[codes].rsqrt()


def _codes(names: tuple[str, ...]) -> Tensor:
    order = {name: i for i, name in enumerate(sorted(set(names)))}
    return torch.tensor([order[name] for name in names])


def _model_config(spec: ClipTraining, vocab_size: int) -> dict[str, object]:
    return {
        "embed_dim": spec.embed_dim,
        "vision_cfg": {
            "image_size": spec.image_size,
            "layers": list(spec.vision_layers),
            "width": spec.vision_width,
            "head_width": 64,
        },
        "text_cfg": {
            "context_length": spec.context_length,
            "vocab_size": vocab_size,
            "width": spec.text_width,
            "heads": 4,
            "layers": spec.text_layers,
        },
        "init_logit_scale": 2.66,
    }
