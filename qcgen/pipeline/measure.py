"""`qcgen eval`: a student and its teacher against real pictures, on the same captions and seeds."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from qcgen.core.types import ModelRef
from qcgen.data.imageset import ImageSet
from qcgen.distill.pairs import solve
from qcgen.generate.noise import stack_noise
from qcgen.models.families.sd15 import Parts, TextTower
from qcgen.models.protocol import ImageTextEncoder, Student
from qcgen.pipeline.evaluate import compare, embed_all, nearest_distances, top1
from qcgen.qc.detectors.colour_match import ColourMatch
from qcgen.qc.protocol import Batch

Sampler = Callable[[list[str], list[int]], Tensor]
"""Prompts and seeds to uint8 pictures, `b 3 h w`."""


def sample_student(student: Student) -> Sampler:
    """One network call a picture."""

    def sample(prompts: list[str], seeds: list[int]) -> Tensor:
        noise = stack_noise(seeds, student.latent_shape)
        return _to_uint8(student.decode(student.generate(noise, student.embed(prompts))))

    return sample


def sample_teacher(ref: ModelRef, *, steps: int, guidance_scale: float) -> Sampler:
    """DPM-Solver++ (2M), `steps` calls with and without the caption."""
    parts = Parts.find(ref.folder)
    unet, vae, schedule = parts.load_unet("cpu").eval(), parts.load_vae("cpu"), parts.schedule
    text = TextTower(parts.tokenizer, parts.text_encoder, "cpu")
    empty = text.embed([""])
    side = unet.config.sample_size

    def sample(prompts: list[str], seeds: list[int]) -> Tensor:
        noise = stack_noise(seeds, (unet.config.in_channels, side, side))
        cond = text.embed(prompts)
        x_0 = solve(unet, schedule, noise, cond, empty, steps=steps, guidance_scale=guidance_scale)
        with torch.no_grad():
            return _to_uint8(vae.decode(x_0 / vae.config.scaling_factor).sample / 2 + 0.5)

    return sample


def measure(
    sampler: Sampler, data: ImageSet, encoder: ImageTextEncoder, *, n: int, seed: int, batch: int = 128
) -> dict[str, object]:
    """Measures of `n` pictures with the captions of real rows drawn at random.

    Returns:
        frechet, precision, recall (value, error, n) against all real rows; top-1 of the encoder on products; share of
        pictures whose garment has the asked colour by the Lab test; quantiles of the cosine distance to the nearest
        training picture, beside those of held-out real pictures.
    """
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(data), size=n)
    seeds = [int(value) for value in rng.integers(2**32, size=n)]
    prompts = [data.captions[row] for row in rows]
    images = torch.cat(
        [sampler(prompts[start : start + batch], seeds[start : start + batch]) for start in range(0, n, batch)]
    )
    real, fake = embed_all(encoder, data.images), embed_all(encoder, images)
    trained, held_out = real[data.rows(held_out=False)], real[data.rows(held_out=True)]
    products = sorted(set(data.products))
    asked = [data.products[row] for row in rows]
    return {
        "n": n,
        "seed": seed,
        **{name: asdict(estimate) for name, estimate in compare(real, fake).items()},
        "product_top1": top1(encoder, fake, asked, products, "a photo of a {}"),
        "colour_agreement": _colour_agreement(images, [data.colours[row] for row in rows]),
        "nearest_training": _quantiles(nearest_distances(fake, trained)),
        "nearest_training_of_held_out": _quantiles(nearest_distances(held_out, trained)),
    }


def contact_sheet(sampler: Sampler, prompts: list[str], seeds: list[int], path: Path, *, columns: int) -> None:
    """Write the pictures of `prompts` and `seeds`, unpicked, row by row."""
    images = sampler(prompts, seeds)
    n, _, h, w = images.shape
    grid = images.reshape(n // columns, columns, 3, h, w).permute(0, 3, 1, 4, 2).reshape(-1, columns * w, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(grid.numpy()).save(path, quality=88)


def _colour_agreement(images: Tensor, colours: list[str]) -> dict[str, float]:
    """Share of the pictures with a garment in view whose dominant colour lies in the range of the asked name."""
    detector = ColourMatch()
    right = scored = 0
    for part, names in zip(images.split(128), _chunks(colours, 128), strict=True):
        scores = detector.score(Batch(part, [""] * len(part), [{"colour": name} for name in names]))
        for value, reason in zip(scores.values.tolist(), scores.reasons, strict=True):
            scored += reason is None
            right += reason is None and value == 0
    return {"share": right / max(scored, 1), "scored": float(scored)}


def _chunks(values: list[str], size: int) -> list[list[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _quantiles(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
    return {f"q{round(100 * q):02d}": round(float(np.quantile(values, q)), 4) for q in (0.01, 0.05, 0.5, 0.95)}


def _to_uint8(pixels: Tensor) -> Tensor:
    return (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
