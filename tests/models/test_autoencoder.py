"""The patch autoencoder's linear part against an independent principal component analysis."""

import numpy as np
import pytest
import torch

from qcgen.models.autoencoder import PatchAutoencoder


def _pictures(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((n, 3, 4, 4), generator=generator) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    return (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(-1, 1)


def test_the_linear_part_loses_what_principal_components_lose() -> None:
    images = _pictures(64)
    vae = PatchAutoencoder(patch=8, latent_channels=6, width=16, blocks=1, sample_size=32)
    vae.fit(images)
    with torch.no_grad():
        decoded = vae.decode(vae.encode(images)).sample
    blocks = (
        images.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 192).numpy().astype(np.float64)
    )
    singular = np.linalg.svd(blocks - blocks.mean(0), compute_uv=False)
    lost = np.square(singular[6:]).sum() / blocks.size
    # float32 convolutions against float64: the errors agree to a part in a thousand.
    assert float((decoded - images).square().mean()) == pytest.approx(lost, rel=1e-3)


def test_latents_have_unit_mean_square_and_coarse_components_stay_the_largest() -> None:
    images = _pictures(64)
    vae = PatchAutoencoder(patch=8, latent_channels=6, width=16, blocks=1, sample_size=32)
    deviation = vae.fit(images)
    with torch.no_grad():
        latents = vae.encode(images)
    assert abs(float(latents.square().mean()) - 1) < 0.01
    spread = latents.std((0, 2, 3))
    assert bool((deviation.diff() <= 1e-5).all())
    assert bool((spread.diff() <= 1e-2).all())


def test_the_refiner_changes_nothing_before_it_is_trained() -> None:
    vae = PatchAutoencoder(patch=8, latent_channels=6, width=16, blocks=2, sample_size=32)
    latents = torch.randn(2, 6, 4, 4)
    with torch.no_grad():
        rough = torch.nn.functional.pixel_shuffle(vae.synthesis(latents), 8)
        torch.testing.assert_close(vae.decode(latents).sample, rough)
