"""Measures of generated pictures against real ones, each with its number of samples, seed and error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from qcgen.models.protocol import ImageTextEncoder

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its standard error over resamples of the generated pictures, and their count."""

    value: float
    error: float
    n: int


def embed_all(encoder: ImageTextEncoder, images: Tensor) -> Array:
    """Unit embeddings of uint8 pictures, `n d`, float64."""
    return np.asarray(torch.cat([encoder.encode_images(part) for part in images.split(256)]).double().cpu().numpy())


def frechet_distance(a: Array, b: Array) -> float:
    """100 (|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^1/2)); the factor because the embeddings have unit length.

    Source: Heusel et al. 2017, arXiv:1706.08500.
    """
    mean = a.mean(0) - b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The eigenvalues of S_a S_b are those of a positive matrix, so their roots sum to the trace of its root.
    roots = np.sqrt(np.clip(scipy.linalg.eigvals(cov_a @ cov_b).real, 0, None)).sum()
    return float(100 * (mean @ mean + np.trace(cov_a) + np.trace(cov_b) - 2 * roots))


def precision_recall(real: Array, fake: Array, *, k: int = 5) -> tuple[float, float]:
    """Share of fakes inside the real k-nearest-neighbour manifold, and of reals inside the fake one.

    Source: Kynkäänniemi et al. 2019, arXiv:1904.06991.
    """

    def inside(points: Array, reference: Array) -> float:
        radius = np.partition(cdist(reference, reference), k, axis=1)[:, k]
        return float((cdist(points, reference) <= radius[None, :]).any(axis=1).mean())

    return inside(fake, real), inside(real, fake)


def compare(real: Array, fake: Array, *, resamples: int = 20, seed: int = 0) -> dict[str, Estimate]:
    """Fréchet distance (bootstrap error), precision and recall (error from disjoint halves, scaled) of `fake`
    against `real`.

    Manifold measures are not bootstrapped: repeated pictures would shrink the radii.
    """
    rng = np.random.default_rng(seed)
    n = len(fake)
    again = [frechet_distance(real, fake[rng.integers(n, size=n)]) for _ in range(resamples)]
    halves = [precision_recall(real, part) for _ in range(3) for part in np.array_split(fake[rng.permutation(n)], 2)]
    precision, recall = precision_recall(real, fake)
    spread = np.std(halves, axis=0, ddof=1) / np.sqrt(2)
    return {
        "frechet": Estimate(frechet_distance(real, fake), float(np.std(again, ddof=1)), n),
        "precision": Estimate(precision, float(spread[0]), n),
        "recall": Estimate(recall, float(spread[1]), n),
    }


def top1(encoder: ImageTextEncoder, images: Array, asked: Sequence[str], names: Sequence[str], template: str) -> float:
    """Share of pictures whose nearest text among `names` is the one that was asked for."""
    texts = encoder.encode_texts([template.format(name) for name in names]).double().cpu().numpy()
    nearest = (images @ texts.T).argmax(1)
    return float(np.mean([names[i] == one for i, one in zip(nearest, asked, strict=True)]))


def nearest_distances(points: Array, reference: Array) -> Array:
    """Cosine distance of each point to its nearest reference: copies of training pictures show as a heap at zero."""
    return np.asarray(1 - (points @ reference.T).max(axis=1))
