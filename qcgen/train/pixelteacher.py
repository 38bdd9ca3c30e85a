"""The multi-step teacher on pixels: a class-conditional UNet2DModel with EDM's preconditioning."""

import json
from pathlib import Path

import torch
from diffusers import EDMEulerScheduler, UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from qcgen.core.errors import SpecError
from qcgen.core.trainspec import PixelTeacherTraining
from qcgen.data.imageset import ImageSet
from qcgen.models.codec import PixelCodec
from qcgen.models.families.edm import PixelAdapter
from qcgen.models.network import Network
from qcgen.models.noising import Exploding


class PixelTeacherTask:
    """Loss: mean squared error of the raw network F, which is EDM's weighted denoising loss (Karras et al. 2022, table
    1: the weight cancels c_out^2)."""

    def __init__(self, spec: PixelTeacherTraining, data: ImageSet) -> None:
        self.spec = spec
        self.rows = torch.from_numpy(data.rows(held_out=False))
        self.images = data.images
        self.codec = PixelCodec(1 if spec.grey else 3, spec.patch)
        names = sorted(set(data.captions))
        self.classes = [*names, ""] if spec.caption_dropout else names
        order = {name: place for place, name in enumerate(names)}
        self.class_of = torch.tensor([order[caption] for caption in data.captions])
        self.noising = Exploding(sigma_data=spec.sigma_data)
        torch.manual_seed(spec.seed)
        unet = build_pixel_unet(spec, classes=len(self.classes), side=self._side(data))
        self.network = Network(unet, PixelAdapter(), self.noising, dtype=torch.bfloat16)
        self.module: nn.Module = unet

    def _side(self, data: ImageSet) -> int:
        height, width = data.images.shape[-2:]
        least = self.spec.patch * 2 ** (len(self.spec.channels) - 1)
        if height != width or height % least:
            raise SpecError(
                f"data: pictures must be square with a side that patch and resolutions divide, a multiple of {least} "
                f"(got {width} x {height}). Cure: pad or scale them, or fewer entries of channels."
            )
        return height // self.spec.patch

    def loss(self, step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        spec, n = self.spec, self.spec.optim.batch
        rows = self.rows[torch.randint(len(self.rows), (n,), generator=generator)]
        x_0 = self.codec.encode(self.images[rows].float() / 127.5 - 1)
        label = self.class_of[rows]
        if spec.caption_dropout:
            dropped = torch.rand(n, generator=generator) < spec.caption_dropout
            label = torch.where(dropped, len(self.classes) - 1, label)
        sigma = (spec.p_mean + spec.p_std * torch.randn(n, generator=generator)).exp()
        noise = torch.randn(x_0.shape, generator=generator)
        x_t = x_0 + sigma[:, None, None, None] * noise
        cond = F.one_hot(label, len(self.classes)).float()[:, None]
        return F.mse_loss(self.network.predict(x_t, sigma, cond), self.noising.target(x_0, noise, sigma)), {}

    def export(self, averaged: nn.Module, folder: Path) -> dict[str, object]:
        assert isinstance(averaged, UNet2DModel)
        averaged.half().save_pretrained(folder / "unet")
        noising = self.noising
        EDMEulerScheduler(
            sigma_min=noising.sigma_min, sigma_max=noising.sigma_max, sigma_data=noising.sigma_data
        ).save_pretrained(folder / "scheduler")
        named = {"id2label": {str(place): name for place, name in enumerate(self.classes)}}
        (folder / "model_index.json").write_text(json.dumps(named, indent=1) + "\n")
        return {"parameters": sum(p.numel() for p in averaged.parameters()), "rows": len(self.rows)}


def build_pixel_unet(spec: PixelTeacherTraining, *, classes: int, side: int) -> UNet2DModel:
    """The UNet that the job describes; one entry of `channels` a resolution. `side` counts blocks."""
    planes = (1 if spec.grey else 3) * spec.patch**2
    count = len(spec.channels)
    return UNet2DModel(
        sample_size=side,
        in_channels=planes,
        out_channels=planes,
        block_out_channels=spec.channels,
        layers_per_block=spec.layers_per_block,
        down_block_types=("DownBlock2D",) * count,
        up_block_types=("UpBlock2D",) * count,
        add_attention=False,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=classes,
    )
