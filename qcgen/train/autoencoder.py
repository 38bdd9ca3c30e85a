"""The patch autoencoder: the linear part in closed form, then the refiner by gradient descent."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.errors import PrerequisiteError
from qcgen.core.trainspec import AutoencoderTraining
from qcgen.data.augment import windows
from qcgen.data.imageset import ImageSet
from qcgen.models.autoencoder import PatchAutoencoder
from qcgen.models.checkpoint import load_state
from qcgen.train.perceptual import early_features, edge_distance, feature_distance


class AutoencoderTask:
    """Loss of the refiner: L1 on pixels and on their differences, features of our own CLIP's early layers, and a
    patch discriminator (Isola et al. 2017) with feature matching (Wang et al. 2018)."""

    def __init__(self, spec: AutoencoderTraining, data: ImageSet) -> None:
        self.spec, self.data = spec, data
        torch.manual_seed(spec.seed)
        self.rows = torch.from_numpy(data.rows(held_out=False))
        self.vae = self._start() if spec.init is None else _read(spec.init)
        self.vae.analysis.requires_grad_(False)
        if spec.samples is not None and not spec.samples.is_file():
            raise PrerequisiteError(f"samples: {spec.samples} is missing. Cure: run its distillation first.")
        self.samples = None if spec.samples is None else cast(dict[str, Tensor], load_state(spec.samples))["x_0"]
        self.start_db = self._psnr(self.vae)
        # The encoder is final now: a teacher may start on its latents while the refiner trains.
        self.vae.save_pretrained(spec.out / "vae")
        vae = self.vae.to(memory_format=torch.channels_last)
        self.module: nn.Module = nn.ModuleDict({"vae": vae, "discriminator": PatchDiscriminator()})
        self.features = early_features(spec.perceptual) if spec.perceptual else None

    def _start(self) -> PatchAutoencoder:
        vae = PatchAutoencoder(
            patch=self.spec.patch,
            latent_channels=self.spec.latent_channels,
            width=self.spec.width,
            blocks=self.spec.blocks,
            context_blocks=self.spec.context_blocks,
            sample_size=self.data.images.shape[-1],
        )
        vae.fit(pixels(self.data.images[self.rows]))
        return vae

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        rows = self.rows[torch.randint(len(self.rows), (self.spec.optim.batch,), generator=generator)]
        x_0 = pixels(windows(self.data.images[rows], self.spec.crop, generator))
        latents = self.vae.encode(x_0)
        noise = self.spec.latent_noise * torch.rand((len(rows), 1, 1, 1), generator=generator)
        shaken = latents + noise * torch.randn(latents.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.vae.decode(shaken).sample
        decoded = decoded.float()
        pixel = (decoded - x_0).abs().mean()
        edge = edge_distance(decoded, x_0)
        total = pixel + edge / 2
        numbers = {"pixel": pixel.item(), "edge": edge.item()}
        if self.features is not None:
            percept = feature_distance(self.features, decoded, x_0)
            total = total + self.spec.perceptual_weight * percept
            numbers["perceptual"] = percept.item()
        if step >= self.spec.adversarial_start * self.spec.optim.steps:
            made = None if self.samples is None else self._decode_samples(self.samples, len(rows), generator)
            adversarial, critic = self._adversarial(decoded, x_0, made)
            total = total + self.spec.adversarial_weight * adversarial + critic
            numbers |= {"adversarial": adversarial.item(), "critic": critic.item()}
        return total, numbers

    def _decode_samples(self, latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Windows of the samples, as large as those of the photos."""
        side, (h, w) = self.spec.crop // self.vae.config.patch, latents.shape[-2:]
        rows = torch.randint(len(latents), (count,), generator=generator)
        top, left = (int(torch.randint(size - side + 1, (), generator=generator)) for size in (h, w))
        window = latents[rows, :, top : top + side, left : left + side].float()
        with torch.autocast("cpu", torch.bfloat16):
            return self.vae.decode(window).sample.float()

    def _adversarial(self, decoded: Tensor, x_0: Tensor, made: Tensor | None) -> tuple[Tensor, Tensor]:
        """(loss of the refiner, loss of the discriminator); neither reaches the other's parameters, so one backward
        serves both. Features are matched where there is a photo to match, not for samples."""
        judge = cast(nn.ModuleDict, self.module)["discriminator"]
        fixed = {name: value.detach() for name, value in judge.named_parameters()}
        with torch.autocast("cpu", torch.bfloat16):
            seen = torch.func.functional_call(judge, fixed, (decoded,))
            with torch.no_grad():
                wanted = torch.func.functional_call(judge, fixed, (x_0,))
            fake, real = judge(decoded.detach())[-1], judge(x_0)[-1]
            if made is not None:
                seen_made = torch.func.functional_call(judge, fixed, (made,))[-1]
                fake = torch.cat([fake, judge(made.detach())[-1]])
        matched = sum(((a - b).abs().mean() for a, b in zip(seen[:-1], wanted[:-1], strict=True)), x_0.new_zeros(()))
        refiner = 2 * matched.float() - seen[-1].float().mean()
        if made is not None:
            refiner = refiner - seen_made.float().mean()
        return refiner, F.relu(1 - real).float().mean() + F.relu(1 + fake).float().mean()

    @torch.no_grad()
    def _psnr(self, vae: PatchAutoencoder) -> float:
        """Mean over the held-out pictures, dB."""
        rows = torch.from_numpy(self.data.rows(held_out=True))
        errors = [
            (vae.decode(vae.encode(x)).sample.clamp(-1, 1) - x).square().mean((1, 2, 3)) / 4
            for x in (pixels(self.data.images[part]) for part in rows.split(64))
        ]
        return float((-10 * torch.cat(errors).log10()).mean())

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        vae = cast(nn.ModuleDict, averaged)["vae"]
        assert isinstance(vae, PatchAutoencoder)
        refined_db = self._psnr(vae.eval())
        vae.half().save_pretrained(folder / "vae")
        # A second stage begins with a refiner that has learned already.
        start = "psnr_linear_db" if self.spec.init is None else "psnr_start_db"
        return {"n": int(self.data.held_out.sum()), start: self.start_db, "psnr_refined_db": refined_db}


class PatchDiscriminator(nn.Module):
    """Judges overlapping 22 px patches; returns its features layer by layer, the logits last."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList(
            [
                norm(nn.Conv2d(3, width, 4, stride=2, padding=1)),
                norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
                norm(nn.Conv2d(2 * width, 4 * width, 3, padding=1)),
                nn.Conv2d(4 * width, 1, 3, padding=1),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.layers[-1](x)]


def _read(folder: Path) -> PatchAutoencoder:
    if not (folder / "vae" / "config.json").is_file():
        raise PrerequisiteError(f"init: {folder} holds no vae. Cure: run the training that makes it first.")
    return PatchAutoencoder.from_pretrained(
        folder / "vae", local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
    )


def pixels(images: Tensor) -> Tensor:
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
