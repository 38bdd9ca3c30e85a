"""The noise of an image: a function of its seed and the latent's shape alone, whatever the batch, device or dtype."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

SEEDS = 2**32


def draw_noise(seed: int, shape: tuple[int, int, int]) -> Float[Tensor, "c h w"]:
    """Unit Gaussian noise in float32 from a CPU generator of its own.

    The CPU generator keeps only the low 32 bits of a seed, so a larger one would silently repeat another image's
    noise; CUDA's generator depends on the GPU model for large tensors.

    Raises:
        ValueError: the seed is not a uint32.
    """
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed must be in 0..{SEEDS - 1} (got {seed})")
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def stack_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Float[Tensor, "b c h w"]:
    """One noise per seed. Drawn one by one: a batched draw would tie an image's noise to its place in the batch."""
    return torch.stack([draw_noise(seed, shape) for seed in seeds])
