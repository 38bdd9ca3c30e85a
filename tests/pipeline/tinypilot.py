"""A tiny chain with an image set that is large enough for KID, and pilots on it."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from ruamel.yaml import YAML
from torch.nn import functional as F

from tests.train.tinychain import distillation, train_chain

_COLOURS = ("red", "blue", "green")
_PRODUCTS = ("dress", "hat")


def write_set(path: Path, n: int) -> Path:
    """`n` smooth random pictures of 32 px, no two of them near-duplicates, with captions in turn."""
    coarse = torch.rand((n, 3, 5, 5), generator=torch.Generator().manual_seed(1))
    images = (F.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)
    files = []
    for image in images:
        packed = io.BytesIO()
        PIL.Image.fromarray(image.permute(1, 2, 0).numpy()).save(packed, "WEBP", quality=80)
        files.append(packed.getvalue())
    colours, products = [_COLOURS[i % 3] for i in range(n)], [_PRODUCTS[i % 2] for i in range(n)]
    np.savez(
        path,
        webp=np.frombuffer(b"".join(files), dtype=np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        label=np.array([_PRODUCTS.index(product) for product in products], dtype=np.int64),
        classes=np.array(_PRODUCTS),
        colour=np.array(colours),
        colour_share=np.ones(n),
        caption=np.array([f"a photo of a {c} {p}" for c, p in zip(colours, products, strict=True)]),
        id=np.arange(n).astype(str),
    )
    return path


def make_chain(root: Path) -> Path:
    """A folder with `set.npz`, `clip`, `autoencoder`, `teacher` and a base job of 80 steps, `base.yaml`; `hasty.yaml`
    is the same without roll-backs."""
    train_chain(root, write_set(root / "set.npz", 260))
    spec = distillation(root, root / "set.npz", steps=80, out="base").model_dump(mode="json", exclude_defaults=True)
    job = {**spec, "checkpoint_every": 2, "monitor": {"every": 1}}
    YAML(typ="safe").dump(job, root / "base.yaml")
    YAML(typ="safe").dump({**job, "stop": {"retries": 0}}, root / "hasty.yaml")
    return root


def write_pilot(chain: Path, out: Path, **changes: object) -> Path:
    """A pilot of four trials on two rungs of 2 and 4 steps; each change replaces a key."""
    job: dict[str, object] = {
        "version": 1,
        "name": "tiny",
        "base": str(chain / "base.yaml"),
        "out": str(out),
        "purpose": "balance",
        "grid": {"divergence": ["jensen_shannon", "reverse_kl"], "lr_ratio": [3, 300]},
        "eta": 2,
        "n": 200,
        "clip": str(chain / "clip"),
    }
    path = out.parent / f"{out.name}.yaml"
    YAML(typ="safe").dump({**job, **changes}, path)
    return path
