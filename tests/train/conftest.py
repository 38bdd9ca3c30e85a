"""A small real image set: coloured shapes on white with captions, in the layout of the clothing packages."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from tests.train.tinychain import train_chain

_COLOURS = {"red": (200, 30, 30), "blue": (30, 60, 200), "green": (30, 150, 60)}
_PRODUCTS = ("dress", "hat")


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures of 32 px, two garments in three colours, each drawn at its own place and size."""
    rng = np.random.default_rng(5)
    files, captions, colours, labels = [], [], [], []
    for i in range(48):
        colour = list(_COLOURS)[i % 3]
        product = _PRODUCTS[i // 3 % 2]
        picture = PIL.Image.fromarray(rng.integers(180, 255, (32, 32, 3), dtype=np.uint8))
        draw = PIL.ImageDraw.Draw(picture)
        left, top, side = (int(v) for v in rng.integers((2, 2, 10), (10, 10, 20)))
        shape = draw.polygon if product == "dress" else draw.ellipse
        corners = [(left, top + side), (left + side, top + side), (left + side // 2, top)]
        shape(corners if product == "dress" else [left, top, left + side, top + side], fill=_COLOURS[colour])
        packed = io.BytesIO()
        picture.save(packed, "WEBP", quality=90)
        files.append(packed.getvalue())
        captions.append(f"a photo of a {colour} {product}")
        colours.append(colour)
        labels.append(_PRODUCTS.index(product))
    path = tmp_path_factory.mktemp("set") / "tiny.npz"
    np.savez(
        path,
        webp=np.frombuffer(b"".join(files), dtype=np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        label=np.array(labels, dtype=np.int16),
        classes=np.array(_PRODUCTS),
        colour=np.array(colours),
        colour_share=np.ones(48, dtype=np.float32),
        caption=np.array(captions),
        id=np.array([f"row-{i}" for i in range(48)]),
    )
    return path


@pytest.fixture(scope="session")
def chain(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clip`, `autoencoder`, `teacher` and `distilled/student`."""
    root = tmp_path_factory.mktemp("chain")
    train_chain(root, tiny_set)
    return root
