"""Calibrates the photos profile on the data packages: real photos and shop pictures, as they are.

The pictures with people's marks stay out, so that the profile can be tried on something that it has not seen.
"""

import shutil
import sys
from pathlib import Path

import PIL.Image

from qcgen.cli.main import main as run_qcgen
from qcgen.data.imageset import read_image_set

_SHARED = Path("../shared/data")
_GOOD = Path("out/photos-good")
_EVERY = 7
"""Of the garments that networks here were trained on; no detector of this profile is one."""


def main() -> None:
    shutil.rmtree(_GOOD, ignore_errors=True)
    for name in ("qc-photos", "catalog-eshop"):
        shutil.copytree(_SHARED / name / "images", _GOOD / name)
    clothing = read_image_set(_SHARED / "clothing128" / "clothing128.npz")
    (_GOOD / "clothing128").mkdir()
    for row in [*clothing.rows(held_out=True).tolist(), *clothing.rows(held_out=False).tolist()[::_EVERY]]:
        picture = PIL.Image.fromarray(clothing.images[row].permute(1, 2, 0).numpy())
        picture.save(_GOOD / "clothing128" / f"{row:05d}.png")
    sys.exit(run_qcgen(["calibrate", str(_GOOD), "--profile", "photos"]))


if __name__ == "__main__":
    main()
