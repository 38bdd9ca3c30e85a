"""Packs Fashion-MNIST as an image set: python -m benchmarks.fashion.pack (from the repository)

28 x 28 grey pictures on 32 x 32, black around as in the pictures; the t10k pair is held out.
"""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from qcgen.data.imageset import write_image_set

SOURCE = Path("../shared/data/fashion-mnist")
PACKED = Path("out/fashion/fashion-mnist.npz")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def main(source: Path = SOURCE, packed: Path = PACKED) -> None:
    images, labels, held_out = [], [], []
    for part in ("train", "t10k"):
        images.append(_idx(source / f"{part}-images-idx3-ubyte.gz"))
        labels.append(_idx(source / f"{part}-labels-idx1-ubyte.gz"))
        held_out.append(torch.full((len(images[-1]),), part == "t10k"))
    grey, label = torch.cat(images), torch.cat(labels).tolist()
    products = [CLASSES[code] for code in label]
    packed.parent.mkdir(parents=True, exist_ok=True)
    write_image_set(
        packed,
        F.pad(grey, (2, 2, 2, 2))[:, None].expand(-1, 3, -1, -1),
        captions=[f"a photo of a grey {name}" for name in products],
        products=products,
        colours=["grey"] * len(products),
        ids=[str(row) for row in range(len(products))],
        held_out=torch.cat(held_out),
    )


def _idx(path: Path) -> Tensor:
    """The IDX format: two zero bytes, a type (8: uint8), the number of axes, then big-endian sizes."""
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", axes, 4)
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape).copy())


if __name__ == "__main__":
    main()
