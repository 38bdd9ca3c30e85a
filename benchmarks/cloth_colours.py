"""Learns what colours garments of each name have, for qcgen/qc/clothcolours.py: prints the table's lines.

python -m benchmarks.cloth_colours [IMAGE_SET]     (training rows alone; default ../shared/data/clothing128)
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.data.imageset import read_image_set
from qcgen.qc.clothcolours import Cloth
from qcgen.qc.colour import NAMES
from qcgen.qc.foreground import find_clusters
from qcgen.qc.planes import Planes

_DATA = Path("../shared/data/clothing128/clothing128.npz")
_BATCH = 64
_WITHIN = 4.0
"""Variance added on each axis: two delta E are one colour, however few garments of a name there are."""


def main(arguments: list[str]) -> None:
    data = read_image_set(Path(arguments[0]) if arguments else _DATA)
    rows = torch.from_numpy(data.rows(held_out=False))
    colours = [data.colours[row] for row in rows.tolist()]
    for name, cloth in learn(data.images[rows], colours).items():
        print(f'    "{name}": Cloth({cloth.mean}, {cloth.spread}),')


def learn(images: UInt8[Tensor, "n 3 h w"], colours: Sequence[str]) -> dict[str, Cloth]:
    """Mean and covariance of the garments' dominant colours, for each name that at least two pictures have."""
    parts = images.split(_BATCH)
    lab = torch.cat([find_clusters(Planes(part)).colour() for part in parts])
    of_name = {name: lab[[i for i, colour in enumerate(colours) if colour == name]] for name in NAMES}
    return {name: _cloth(found) for name, found in of_name.items() if len(found) > 1}


def _cloth(lab: Float[Tensor, "n 3"]) -> Cloth:
    covariance = torch.cov(lab.T) + _WITHIN * torch.eye(3, dtype=lab.dtype)
    rows, columns = torch.triu_indices(3, 3)
    light, a, b = (round(value, 1) for value in lab.mean(0).tolist())
    ll, la, lb, aa, ab, bb = (round(value, 1) for value in covariance[rows, columns].tolist())
    return Cloth((light, a, b), (ll, la, lb, aa, ab, bb))


if __name__ == "__main__":
    main(sys.argv[1:])
