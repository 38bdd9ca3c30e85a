"""An image set for evaluations, made by the toy student, so that the toy student matches it."""

import numpy as np
import torch

from qcgen.data.imageset import ImageSet
from qcgen.generate.noise import stack_noise
from qcgen.models.families.toy import ToyStudent

COLOURS = ("red", "blue", "green", "black")
PRODUCTS = ("dress", "hat", "shirt")


def small_set(n: int = 1000, *, held_out: int = 150) -> ImageSet:
    """`n` pictures that the toy student could have made, the last `held_out` of them kept from training."""
    student = ToyStudent(ToyStudent.reference("toy:32"))
    colours = tuple(COLOURS[i % 4] for i in range(n))
    products = tuple(PRODUCTS[i % 3] for i in range(n))
    captions = tuple(f"a photo of a {colour} {product}" for colour, product in zip(colours, products, strict=True))
    noise = stack_noise(list(range(n)), student.latent_shape)
    pixels = student.decode(student.generate(noise, student.embed(captions)))
    return ImageSet(
        images=(pixels.clamp(0, 1) * 255).round().to(torch.uint8),
        captions=captions,
        products=products,
        colours=colours,
        colour_share=np.ones(n, dtype=np.float32),
        ids=tuple(str(i) for i in range(n)),
        held_out=torch.arange(n) >= n - held_out,
    )
